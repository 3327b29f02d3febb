"""An arm of a study at one step of training, beside other arms as the study measured them.

    python bench/at_step.py 200 STUDY/runs/one-step-medium-s* --beside gasp --to build/at-step
    gasp study report build/at-step --to build/at-step/report

Arms end at equal student rollouts, which is not at equal updates. Here every run is sampled at the
checkpoint of one step, the same for all, at the study's training temperature: no validation count
takes part. The folder that is written holds a study in which every selection of this arm is that
checkpoint; the other arms keep theirs, so `last` compares with their last checkpoints. Runs are
only read.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

from gasp_rl.config import Config
from gasp_rl.evals.policy import Policy
from gasp_rl.methods.budget import Spent
from gasp_rl.methods.controls import measure_at
from gasp_rl.methods.session import open_session
from gasp_rl.store.progress import LinesOnly
from gasp_rl.store.reader import RunReader
from gasp_rl.studies.measured import (
    Counts,
    MeasuredRun,
    Shown,
    measured_file,
    read_measured,
    write_measured,
)
from gasp_rl.studies.study import read_plan


def measured_at(step: int, path: Path, done: MeasuredRun) -> MeasuredRun:
    """The measured run as if it had ended at the step and nothing else had been kept."""
    config = Config.model_validate_json((path / "config.json").read_text(encoding="utf-8"))
    with RunReader.open(path) as reader:
        spent = Spent()
        for record in reader.steps(until=step):
            spent = spent.after(record.seconds, record.metrics)
    shown = Shown(step, config.student.sampling.temperature)
    with open_session(config) as session:
        session.engine.load(path / "checkpoints" / f"step_{step:06d}")
        policy = Policy(
            name="trained",
            student=session.student,
            temperature=shown.temperature,
            max_tokens=config.student.sampling.max_tokens,
        )
        found = measure_at(policy, session, config.eval.samples, LinesOnly())
        test = {q.id: r.correct for q, r in zip(session.test, found.test, strict=True)}
        tries = {g.id: r.correct for g, r in zip(session.goalposts, found.goalposts, strict=True)}
    counts = Counts(
        shown=shown,
        samples=config.eval.samples,
        test=tuple(test[question] for question in done.questions),
        goalposts=tuple(tries[goalpost] for goalpost in done.goalposts),
    )
    chosen = dict.fromkeys(done.chosen, shown)
    return replace(done, steps=step, spent=spent, chosen=chosen, counts=(counts,))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("step", type=int)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--study", type=Path, default=Path("studies/miniature"))
    parser.add_argument("--beside", action="append", default=[])
    parser.add_argument("--to", type=Path, default=Path("build/at-step"))
    options = parser.parse_args()
    plan = read_plan(options.study)
    (options.to / "measured").mkdir(parents=True, exist_ok=True)
    shutil.copy(options.study / "study.json", options.to)
    for run in plan.runs:
        if run.arm in options.beside:
            file = measured_file(options.study, run)
            shutil.copy(file, measured_file(options.to, run))
    for path in options.runs:
        run = plan.run(path.name)
        done = read_measured(measured_file(options.study, run))
        at = measured_at(options.step, path, done)
        write_measured(measured_file(options.to, run), at)
        solved = sum(count > 0 for count in at.counts[0].goalposts)
        print(f"{run.name}: {at.spent.student_rollouts:,} student rollouts, {solved} goalposts")


if __name__ == "__main__":
    main()
