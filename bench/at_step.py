"""An arm of a study at one step of training, beside other arms as the study measured them.

    python bench/at_step.py 200 one-step-medium --beside gasp --to build/at-step
    gasp study report build/at-step --to build/at-step/report

Arms end at equal student rollouts, which is not at equal updates. Here every run of the arm is
sampled at the checkpoint of one step, the same for all, at its training temperature: no validation
count takes part. Counts are kept in `STUDY/at-step/STEP/`; for runs without them there the run's
folder is needed, and only read. The folder that is written holds a study in which every selection
of this arm is that checkpoint; the other arms keep theirs, so its `last` compares with their last
checkpoints. Curves and funnels in its report are of whole runs.
"""

import argparse
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from gasp_rl.config import Config
from gasp_rl.errors import GaspError, StoreError
from gasp_rl.evals.policy import Policy
from gasp_rl.methods.budget import Spent
from gasp_rl.methods.controls import measure_at
from gasp_rl.methods.session import open_session
from gasp_rl.store.progress import LinesOnly
from gasp_rl.store.reader import RunReader
from gasp_rl.studies.measured import Counts, MeasuredRun, Shown, read_done, write_measured
from gasp_rl.studies.study import read_plan


@dataclass(frozen=True, slots=True, kw_only=True)
class AtStep:
    """What a run had cost by a step, and what its checkpoint showed, in its measured run's order."""

    spent: Spent
    counts: Counts


_FILE = TypeAdapter(AtStep)


def at_step(step: int, path: Path, done: MeasuredRun) -> AtStep:
    """Sample test questions and goalposts with the weights of the step, as measuring a run does."""
    weights = path / "checkpoints" / f"step_{step:06d}"
    if not weights.is_dir():
        raise StoreError(f"{weights}: is not there; name the runs' folder with --runs")
    with RunReader.open(path) as reader:
        spent = Spent()
        for record in reader.steps(until=step):
            spent = spent.after(record.seconds, record.metrics)
    config = Config.model_validate_json((path / "config.json").read_text(encoding="utf-8"))
    sampling = config.student.sampling
    with open_session(config) as session:
        session.engine.load(weights)
        policy = Policy(
            name="trained",
            student=session.student,
            temperature=sampling.temperature,
            max_tokens=sampling.max_tokens,
        )
        found = measure_at(policy, session, config.eval.samples, LinesOnly())
        test = {q.id: r.correct for q, r in zip(session.test, found.test, strict=True)}
        tries = {g.id: r.correct for g, r in zip(session.goalposts, found.goalposts, strict=True)}
    counts = Counts(
        shown=Shown(step, sampling.temperature),
        samples=config.eval.samples,
        test=tuple(test[question] for question in done.questions),
        goalposts=tuple(tries[goalpost] for goalpost in done.goalposts),
    )
    return AtStep(spent=spent, counts=counts)


def read_or_measure(step: int, name: str, done: MeasuredRun, study: Path, runs: Path) -> AtStep:
    """Counts that are kept already, or those of the run's checkpoint, which are then kept."""
    kept = study / "at-step" / str(step) / f"{name}.json"
    if kept.is_file():
        return _FILE.validate_json(kept.read_bytes())
    found = at_step(step, runs / name, done)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(_FILE.dump_json(found) + b"\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("step", type=int)
    parser.add_argument("arm")
    parser.add_argument("--study", type=Path, default=Path("studies/miniature"))
    parser.add_argument("--runs", type=Path, help="folder of the study's runs [STUDY/runs]")
    parser.add_argument("--beside", action="append", default=[], metavar="ARM")
    parser.add_argument("--to", type=Path, default=Path("build/at-step"))
    options = parser.parse_args()
    plan = read_plan(options.study)
    shutil.rmtree(options.to / "measured", ignore_errors=True)
    options.to.mkdir(parents=True, exist_ok=True)
    shutil.copy(options.study / "study.json", options.to)
    for run in plan.runs:
        done = read_done(plan, run, options.study)
        if done is None or run.arm not in {options.arm, *options.beside}:
            continue
        if run.arm == options.arm:
            runs = options.runs or options.study / "runs"
            at = read_or_measure(options.step, run.name, done, options.study, runs)
            chosen = dict.fromkeys(done.chosen, at.counts.shown)
            done = replace(
                done, steps=options.step, spent=at.spent, chosen=chosen, counts=(at.counts,)
            )
            solved = sum(count > 0 for count in at.counts.goalposts)
            print(f"{run.name}: {at.spent.student_rollouts:,} student rollouts, {solved} goalposts")
        write_measured(options.to / "measured" / f"{run.name}.json", done)


if __name__ == "__main__":
    try:
        main()
    except GaspError as error:
        raise SystemExit(f"error: {error}") from None
