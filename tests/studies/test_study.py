"""A real tiny study on the miniature: its processes, a kill -9, an arm that fails, its report."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from gasp_rl.config import SandboxConfig, load_config
from gasp_rl.errors import ConfigError, SandboxError, StoreError
from gasp_rl.problems.schema import write_questions
from gasp_rl.sandbox.dispatch import WORKERS_VARIABLE, worker_count
from gasp_rl.store.folder import holder_of
from gasp_rl.store.reader import RunReader
from gasp_rl.studies.measure import candidates, choose
from gasp_rl.studies.measured import read_measured
from gasp_rl.studies.report import write_study_report
from gasp_rl.studies.results import gather
from gasp_rl.studies.schedule import _Schedule, run_study, state_of, states
from gasp_rl.studies.study import (
    Plan,
    Study,
    load_study,
    make_plan,
    parse_study,
    read_plan,
    study_names,
    wanted_runs,
    with_arms,
    with_main,
    write_plan,
)
from gasp_rl.studies.tables import kept
from gasp_rl.tasks import Form, Question
from gasp_rl.types import Example

ROLLOUTS = 40
"""Two or three tiny steps."""

TINY = {
    "name": "tiny",
    "seeds": [0, 1],
    "main": "gasp",
    "validation_samples": 1,
    "budget": {"student_rollouts": ROLLOUTS},
    "groups": {"depth 1-3": ["1", "2", "3"], "depth 4": ["4"], "elsewhere": ["none"]},
    "overrides": [
        "steps=6",
        "data.limit=4",
        "eval.samples=2",
        "eval.every=2",
        "eval.goalpost_samples=1",
        "eval.validation_samples=1",
        "eval.temperatures=[1.0]",
        "probe.n=2",
        "teacher.goalposts_per_round=4",
        "teacher.proposals_per_prompt=4",
        "student.tasks=2",
        "student.attempts=2",
        "sandbox.workers=1",
        "store.checkpoint_every=1",
        "store.keep_every=2",
        "store.keep_rollouts=false",
    ],
    "arms": [
        {"name": "base", "recipe": "miniature", "train": False},
        {"name": "gasp", "recipe": "miniature"},
    ],
}


def tiny(**changes: Any) -> Plan:
    return make_plan(parse_study({**TINY, **changes}, "test"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """The study run to its end without a break."""
    folder, plan = tmp_path_factory.mktemp("whole"), tiny()
    write_plan(plan, folder)
    said: list[str] = []
    ended = run_study(plan, folder, 2, said.append)
    assert [state.stage for state in ended] == ["done"] * 4, said
    return plan, folder


def facts(run: Path) -> dict[str, Any]:
    """All that a run shows, wall times left out."""
    with RunReader.open(run) as reader:
        return {
            "steps": [(step.step, step.metrics) for step in reader.steps()],
            "evals": reader.evals(),
            "goalposts": reader.goalpost_attempts(),
            "nodes": [node.program for node in reader.accepted()],
        }


def test_every_run_ends_with_its_budget_and_is_measured(whole: tuple[Plan, Path]) -> None:
    plan, folder = whole
    results = gather(plan, folder)
    assert [(run.arm, run.seed) for run in results.runs] == [(r.arm, r.seed) for r in plan.runs]
    for run in results.runs:
        if run.arm == "gasp":
            assert run.spent.student_rollouts >= ROLLOUTS
            assert 1 <= run.steps < 6
        else:
            assert run.spent.student_rollouts == 0
        for selection in plan.study.selections:
            counts = run.of(selection)
            assert len(counts.test) == len(run.questions) == len(run.tags) == 320
            assert counts.samples == 2
            assert len(counts.goalposts) == len(run.goalposts) == 4
    measured = read_measured(folder / "measured" / "gasp-s0.json")
    with RunReader.open(folder / "runs" / "gasp-s0") as reader:
        config, last = plan.run("gasp-s0").config, reader.last_step()
        chosen = choose(reader, ("pass@20", "last"), last, config)
        rows = [r for r in reader.evals("test") if r.step == last]
    assert measured.chosen == chosen
    assert measured.chosen["last"].step == measured.steps == last
    assert set(measured.tags) == {"constants given", "a constant open"}
    right = dict(zip(measured.questions, measured.of("last").test, strict=True))
    assert right == {row.question: row.correct for row in rows}


def test_what_was_measured_is_enough_without_the_runs(
    whole: tuple[Plan, Path], tmp_path: Path
) -> None:
    plan, folder = whole
    shutil.copy(folder / "study.json", tmp_path)
    shutil.copytree(folder / "measured", tmp_path / "measured")
    said: list[str] = []
    ended = run_study(read_plan(tmp_path), tmp_path, 2, said.append)
    assert said == ["tiny: 4 runs, 0 to do, 2 at a time"]
    assert [state.spent for state in ended] == [state.spent for state in states(plan, folder)]
    files = write_study_report(read_plan(tmp_path), tmp_path, tmp_path / "elsewhere" / "pages")
    write_study_report(plan, folder)
    assert files[0] == tmp_path / "elsewhere" / "pages" / "report.md"
    assert files[0].read_text() == (folder / "report.md").read_text()


def test_a_measured_file_of_other_settings_or_damaged_is_refused(
    whole: tuple[Plan, Path], tmp_path: Path
) -> None:
    plan, folder = whole
    shutil.copytree(folder / "measured", tmp_path / "measured")
    file = tmp_path / "measured" / "gasp-s1.json"
    with pytest.raises(ConfigError, match=r"base-s0\.json: was measured with other settings"):
        states(tiny(budget={"student_rollouts": 41}), tmp_path)
    tree = json.loads(file.read_text())
    file.write_text(json.dumps({**tree, "questions": tree["questions"][::-1]}))
    with pytest.raises(StoreError, match="gasp-s1 and base-s0 were measured on different"):
        gather(plan, tmp_path)
    file.write_text(file.read_text()[:-40])
    with pytest.raises(StoreError, match="cannot be read"):
        states(plan, tmp_path)


def test_more_selections_measure_again_what_lacks_them(whole: tuple[Plan, Path]) -> None:
    folder = whole[1]
    wider = tiny(selections=["pass@20", "pass@1", "last"])
    assert {state.stage for state in states(wider, folder)} == {"stopped"}


def test_files_that_do_not_say_their_validation_samples_were_measured_with_the_default(
    whole: tuple[Plan, Path], tmp_path: Path
) -> None:
    plan, folder = whole
    shutil.copytree(folder / "measured", tmp_path / "measured")
    for file in (tmp_path / "measured").iterdir():
        tree = json.loads(file.read_text())
        assert tree.pop("covers") == "pass@20,last x 2; validation x 1"
        assert tree.pop("validated") is True
        file.write_text(json.dumps({**tree, "covers": "pass@20,last x 2"}))
    assert {state.stage for state in states(tiny(validation_samples=20), tmp_path)} == {"done"}
    assert {state.stage for state in states(plan, tmp_path)} == {"waiting"}


def test_more_validation_samples_measure_a_run_again(
    whole: tuple[Plan, Path], tmp_path: Path
) -> None:
    plan, folder = whole
    run, copy = plan.run("base-s0"), tmp_path / "runs" / "base-s0"
    shutil.copytree(folder / "runs" / "base-s0", copy)
    shutil.copytree(folder / "measured", tmp_path / "measured")
    wider = tiny(validation_samples=2)
    write_plan(wider, tmp_path)
    assert state_of(plan, run, tmp_path).stage == "done"
    assert state_of(wider, run, tmp_path).stage == "stopped"
    run_study(wider, tmp_path, 1, lambda text: None, [wider.run("base-s0")])
    assert state_of(wider, run, tmp_path).stage == "done"
    with RunReader.open(copy) as reader:
        rows = reader.evals("validation")
        assert {row.total for row in rows} == {2}
        assert len(rows) == 216
    before, after = facts(folder / "runs" / "base-s0"), facts(copy)
    assert after["goalposts"] == before["goalposts"]


def test_the_report_says_what_the_stores_hold(whole: tuple[Plan, Path]) -> None:
    pytest.importorskip("matplotlib")
    plan, folder = whole
    files = write_study_report(plan, folder)
    first = [path.read_bytes() for path in files]
    assert first == [path.read_bytes() for path in write_study_report(plan, folder)]
    text = (folder / "report.md").read_text()
    assert "| arm | pass@1 depth 1-3 | pass@2 depth 1-3 |" in text
    assert "elsewhere" not in text
    assert "Not complete" not in text
    assert "One seed" not in text
    assert "**Too few seeds of gasp** to tell how far seeds spread" in text
    tree = json.loads((folder / "report.json").read_text())
    with (
        RunReader.open(folder / "runs" / "gasp-s0") as first,
        RunReader.open(folder / "runs" / "gasp-s1") as second,
    ):
        written = [sum(r.count for r in reader.funnel()) for reader in (first, second)]
    funnel = [row for row in tree["funnel"] if row["arm"] == "gasp"]
    assert sum(row["written"] for row in funnel) == fmean(written) > 0
    assert all(sum(row["shares"].values()) == pytest.approx(1) for row in funnel)
    assert "## What became of proposals" in text
    assert re.search(r"\| gasp \| \d\.\d{3} \+- \d\.\d{3} \|", text)
    rows = {row["arm"]: row for row in tree["selections"]["last"]["arms"]}
    counts = []
    for run in ("base-s0", "base-s1"):
        with RunReader.open(folder / "runs" / run) as reader:
            counts += [row for row in reader.evals("test") if row.label == "4"]
    expected = sum(r.correct for r in counts) / sum(r.total for r in counts)
    score = next(s for s in rows["base"]["scores"] if (s["group"], s["k"]) == ("depth 4", 1))
    assert score["value"] == pytest.approx(expected)
    assert len(tree["curves"]["gasp"]) == 2
    figures = {path.name for path in files if path.suffix == ".svg"}
    assert {"learning.svg", "curriculum.svg", "pass-at-k.svg", "differences.svg"} <= figures
    assert "| constants given | gasp |" in text
    rates = [run.of("last") for run in gather(plan, folder).of("gasp")]
    columns = [i for i, t in enumerate(gather(plan, folder).tags) if t == "a constant open"]
    labels = gather(plan, folder).labels
    firsts = [float(c.test[i] > 0) for c in rates for i in columns if labels[i] == "1"]
    row = next(line for line in text.split("\n") if line.startswith("| a constant open | gasp |"))
    assert row.split(" | ")[2] == f"{fmean(firsts):.3f}"


def test_differences_may_be_taken_from_another_arm(
    whole: tuple[Plan, Path], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    plan, folder = whole

    def compared(plan: Plan) -> dict[tuple[str, str], float]:
        write_study_report(plan, folder, tmp_path)
        tree = json.loads((tmp_path / "report.json").read_text())
        contrasts = tree["selections"]["last"]["contrasts"]
        return {
            (c["first"], c["second"]): c["difference"]["value"]
            for c in contrasts
            if c["measure"] == "goalposts solved"
        }

    usual, turned = compared(plan), compared(with_main(plan, "base"))
    assert turned["gasp", "base"] == pytest.approx(-usual["base", "gasp"])
    with pytest.raises(ConfigError, match="tiny has no nobody; it has base, "):
        with_main(plan, "nobody")


def test_a_report_may_show_some_arms_alone(whole: tuple[Plan, Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plan, folder = whole
    write_study_report(with_arms(plan, ["gasp"]), folder, tmp_path)
    tree = json.loads((tmp_path / "report.json").read_text())
    assert [row["arm"] for row in tree["selections"]["last"]["arms"]] == ["gasp"]
    assert tree["selections"]["last"]["contrasts"] == []
    assert "Not complete" not in (tmp_path / "report.md").read_text()
    with pytest.raises(ConfigError, match="tiny has no nobody"):
        with_arms(plan, ["gasp", "nobody"])
    with pytest.raises(ConfigError, match="taken from gasp, which is none of base"):
        with_arms(plan, ["base"])


def test_a_study_that_is_done_is_not_run_again(whole: tuple[Plan, Path]) -> None:
    folder = whole[1]
    before = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/run.db")}
    said: list[str] = []
    plan = read_plan(folder)
    run_study(plan, folder, 2, said.append)
    only = wanted_runs(plan, ["gasp"], [1])
    assert [s.run.name for s in run_study(plan, folder, 2, said.append, only)] == ["gasp-s1"]
    assert said == [f"tiny: {n}, 0 to do, 2 at a time" for n in ("4 runs", "1 run")]
    assert before == {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/run.db")}
    with pytest.raises(ConfigError, match="begun with other settings"):
        write_plan(tiny(budget={"student_rollouts": 41}), folder)


def test_killed_in_the_middle_it_resumes_to_the_same_end_beside_an_arm_that_fails(
    whole: tuple[Plan, Path], tmp_path: Path
) -> None:
    nowhere = {"name": "nowhere", "recipe": "miniature", "overrides": ["model.path=nowhere"]}
    plan = tiny(seeds=[0], arms=[nowhere, TINY["arms"][1]])
    write_plan(plan, tmp_path)
    run = tmp_path / "runs" / "gasp-s0"
    code = (
        "import sys; from pathlib import Path; from gasp_rl.studies.schedule import run_study; "
        "from gasp_rl.studies.study import read_plan; f = Path(sys.argv[1]); "
        "run_study(read_plan(f), f, 2, print)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=dict(os.environ))
    while not has_a_step(run):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while holder_of(run) is not None:  # its processes end by themselves
        time.sleep(0.02)
    assert states(plan, tmp_path)[1].stage == "stopped"

    said: list[str] = []
    failed, resumed = run_study(plan, tmp_path, 2, said.append)
    assert failed.stage == "failed"
    assert re.search("exit code 2; error: nowhere: no model folder here", failed.detail)
    assert resumed.stage == "done"
    assert facts(run) == facts(whole[1] / "runs" / "gasp-s0")
    write_study_report(plan, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "1 of 2 runs are measured, without nowhere-s0 (failed)" in text
    assert "**One seed alone of every trained arm**" in text


def test_a_checkpoint_of_a_stop_is_no_candidate_and_the_last_one_is() -> None:
    saved = {step: Path(str(step)) for step in (4, 5, 8, 10)}
    assert set(candidates(saved, 4)) == {4, 8, 10}
    assert set(candidates(saved, 0)) == {10}
    assert candidates({}, 4) == {}


def test_a_goalpost_is_kept_when_two_trials_in_a_row_solve_it() -> None:
    trials = {40: (1, 0, 2, 0), 20: (0, 1, 1, 0), 60: (1, 1, 0, 0)}
    assert kept(trials) == 2
    assert kept({20: (1, 1)}) == 0


def test_arms_and_seeds_can_be_picked() -> None:
    plan = tiny()
    assert [run.name for run in wanted_runs(plan, ["gasp"], [])] == ["gasp-s0", "gasp-s1"]
    assert [run.name for run in wanted_runs(plan, [], [1])] == ["base-s1", "gasp-s1"]
    assert wanted_runs(plan, [], []) == list(plan.runs)
    for arms, seeds, wrong in ((["gaps"], [], "gaps"), ([], [7], "7")):
        with pytest.raises(ConfigError, match=f"no {wrong}; it has"):
            wanted_runs(plan, arms, seeds)


def has_a_step(run: Path) -> bool:
    if not (run / "run.db").is_file():
        return False
    with RunReader.open(run) as reader:
        return reader.last_step() >= 1


@pytest.mark.parametrize("name", study_names())
def test_shipped_studies_resolve_to_arms_with_one_budget(name: str) -> None:
    study, folder = load_study(name)
    plan = make_plan(study, folder)
    assert len(plan.runs) == len(study.seeds) * len(study.arms)
    assert len({run.config.budget for run in plan.runs}) == 1
    assert any(limit is not None for limit in study.budget.model_dump().values())
    assert {run.config.engine.threads for run in plan.runs} == {1}
    assert study.base_arm == "base"
    for run in plan.runs:
        assert run.config.store.keep_every == run.config.store.checkpoint_every > 0
    assert [run.seed for run in plan.runs] == sorted(run.seed for run in plan.runs)


def test_arms_differ_from_their_recipe_in_what_the_study_says_alone() -> None:
    run = tiny().run("gasp-s1")
    expected = load_config("miniature", TINY["overrides"]).model_dump()  # type: ignore[arg-type]
    expected["budget"]["student_rollouts"] = ROLLOUTS
    assert run.config.model_dump() == {**expected, "seed": 1, "name": "gasp-s1"}


def own_questions(folder: Path, test: str) -> Plan:
    """The base alone on questions of one's own, without validation questions."""
    pool = folder / "pool.jsonl"
    questions = [
        Question(
            id=f"q{i}",
            source="mine",
            form=Form.FUNCTION,
            statement=f"set n to {i} . add n to x .",
            shown=(Example("1", str(i + 1)), Example("2", str(i + 2))),
            hidden=(Example("3", str(i + 3)),),
        )
        for i in range(4)
    ]
    write_questions(pool, questions)
    named = [f"data.pool={pool}", *([f"data.test={pool}"] if test else [])]
    overrides = [*TINY["overrides"], *named, "eval.temperatures=[0.6,1.0]"]  # type: ignore[misc]
    return tiny(
        overrides=overrides,
        groups={},
        seeds=[0],
        main="",
        arms=[{"name": "untrained", "recipe": "miniature", "train": False}],
        selections=["pass@20", "pass@1", "last"],
    )


@pytest.mark.parametrize("test", ["", "named"])
def test_without_validation_questions_no_choice_is_claimed(test: str, tmp_path: Path) -> None:
    plan = own_questions(tmp_path, test)
    folder = tmp_path / "study"
    write_plan(plan, folder)
    said: list[str] = []
    (ended,) = run_study(plan, folder, 1, said.append)
    assert ended.stage == "done", said
    write_study_report(plan, folder)
    text = (folder / "report.md").read_text()
    assert text.count("\n## ") == text.count("\n## Last checkpoint") == 1
    assert "validation temperature" not in text
    assert "**No validation questions**: nothing was chosen, shown is the last checkpoint" in text
    assert "at temperature 0.6, the first of `eval.temperatures`" in text
    tree = json.loads((folder / "report.json").read_text())
    assert tree["unvalidated"] == ["untrained"]
    if test:
        assert "| arm | pass@1 all | pass@2 all |" in text
        assert "Test questions and goalposts, 2 samples of each." in text
    else:
        assert "pass@" not in text
        assert "Goalposts, 2 samples of each." in text
        assert "There were no test questions" in text


def test_runs_at_once_share_the_cores_and_no_setting_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny()
    write_plan(plan, tmp_path)
    schedule = _Schedule(plan, tmp_path, 1000, lambda text: None)
    schedule._start(plan.runs[0])
    (process,) = schedule.active.values()
    while not (environment := Path(f"/proc/{process.pid}/environ").read_bytes()):
        time.sleep(0.01)  # it has not begun its program yet
    schedule._stop(signal.SIGKILL)
    assert b"GASP_SANDBOX_WORKERS=1" in environment.split(b"\0")
    cores = len(os.sched_getaffinity(0))
    monkeypatch.setenv(WORKERS_VARIABLE, "")
    assert worker_count(SandboxConfig()) == cores
    monkeypatch.setenv(WORKERS_VARIABLE, "1")
    assert worker_count(SandboxConfig()) == 1
    assert worker_count(SandboxConfig(workers=3)) == 3
    monkeypatch.setenv(WORKERS_VARIABLE, str(cores + 1))
    assert worker_count(SandboxConfig()) == cores
    monkeypatch.setenv(WORKERS_VARIABLE, "many")
    with pytest.raises(SandboxError, match="GASP_SANDBOX_WORKERS=many: must be a whole number"):
        worker_count(SandboxConfig())


@pytest.mark.parametrize("where", ["study", "arm"])
def test_a_budget_among_the_overrides_is_refused_rather_than_dropped(where: str) -> None:
    override = "budget.student_rollouts=100"
    changes: dict[str, Any] = {"overrides": [*TINY["overrides"], override]}  # type: ignore[misc]
    if where == "arm":
        changes = {"arms": [{"name": "gasp", "recipe": "miniature", "overrides": [override]}]}
    with pytest.raises(ConfigError, match=f"study tiny: {override}: .* into \\[budget\\]"):
        tiny(**changes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"main": "gaps"}, "no arm is named 'gaps'"),
        ({"seeds": [1, 1]}, "each be named once"),
        ({"seeds": []}, "seeds"),
        ({"armies": []}, "armies"),
        ({"budget": {"student_rollouts": 0}}, "budget.student_rollouts"),
        ({"selections": ["test"]}, "selections"),
    ],
)
def test_wrong_studies_are_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse_study({**TINY, **changes}, "test")


def test_unknown_studies_name_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match="miniature-main"):
        load_study("minature")
    assert isinstance(load_study("miniature")[0], Study)
