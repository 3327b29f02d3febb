"""A budget ends a run with the step that spends it, and a resumed run at the same step."""

from pathlib import Path
from typing import NoReturn

import pytest

from gasp_rl.config import BudgetConfig, Config
from gasp_rl.engines.protocol import Engine
from gasp_rl.engines.scripted import STATE, ScriptedEngine
from gasp_rl.methods import loop
from gasp_rl.methods.budget import Spent, spent_by
from gasp_rl.store.checkpoints import verify_checkpoint
from gasp_rl.store.fork import fork_run
from gasp_rl.store.progress import LinesOnly
from gasp_rl.store.run import RunStore
from gasp_rl.ui.status import status, status_text
from tests.methods.conftest import Stop, StopsAfter, metrics_of, write


def spent_after_each_step(run: Path) -> list[Spent]:
    spent = [Spent()]
    with RunStore.open_readonly(run) as reader:
        for step in reader.steps():
            spent.append(spent[-1].after(step.seconds, step.metrics))
        assert spent[-1] == spent_by(reader)
    return spent[1:]


@pytest.mark.parametrize("kind", ["student_rollouts", "generated_tokens"])
@pytest.mark.parametrize("method", ["gasp", "rlvr"])
def test_the_run_ends_with_the_step_that_spends_its_budget(
    config: Config, method: str, kind: str, tmp_path: Path
) -> None:
    config = config.model_copy(update={"method": method})
    whole = loop.train(config, tmp_path / "whole", engine=ScriptedEngine(write))
    spent = [getattr(s, kind) for s in spent_after_each_step(whole)]
    assert len(spent) == config.steps
    assert 0 < spent[0] < spent[-1]
    budget = BudgetConfig(**{kind: spent[1] + 1})
    limited = config.model_copy(update={"budget": budget})
    run = loop.train(limited, tmp_path / "limited", engine=ScriptedEngine(write))
    assert metrics_of(run) == metrics_of(whole)[:3]
    with RunStore.open_readonly(run) as reader:
        assert reader.info()["finished"] == "yes"
        assert (run / "checkpoints" / "step_000003" / "DONE").exists()


@pytest.mark.parametrize("crash", [1, 2])
def test_a_resumed_run_ends_where_the_unbroken_one_does(
    config: Config, crash: int, tmp_path: Path
) -> None:
    free = loop.train(config, tmp_path / "free", engine=ScriptedEngine(write))
    limit = spent_after_each_step(free)[1].student_rollouts + 1
    config = config.model_copy(update={"budget": BudgetConfig(student_rollouts=limit)})
    whole = loop.train(config, tmp_path / "whole", engine=ScriptedEngine(write))
    assert len(metrics_of(whole)) == 3
    broken = tmp_path / "broken"
    with pytest.raises(Stop):
        loop.train(config, broken, progress=StopsAfter(crash), engine=ScriptedEngine(write))
    for _ in range(2):  # resuming a run that has ended changes nothing
        loop.resume(broken, engine=ScriptedEngine(write))
        assert metrics_of(broken) == metrics_of(whole)


@pytest.mark.parametrize("ended_by", ["budget", "steps"])
def test_a_run_at_its_end_says_why_and_loads_no_model(
    config: Config, ended_by: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if ended_by == "budget":
        config = config.model_copy(update={"budget": BudgetConfig(student_rollouts=1)})
    run = loop.train(config, tmp_path / "run", engine=ScriptedEngine(write))

    def no_parts(config: Config, engine: Engine | None) -> NoReturn:
        raise AssertionError("a model was loaded")

    loop.resume(run, progress=LinesOnly(), opener=no_parts)
    said = capsys.readouterr().out
    with RunStore.open_readonly(run) as reader:
        told = status_text(status(reader)).splitlines()[0]
    if ended_by == "budget":
        assert said == (
            f"{run}: its budget is spent, after step 1; `gasp fork` with a larger one goes on\n"
        )
        assert told == "run: finished after step 1: its budget is spent"
    else:
        assert said.startswith(f"{run}: all {config.steps} steps are done; ")
        assert told == f"run: step {config.steps} of {config.steps}, finished"


def test_a_fork_with_a_larger_budget_goes_on(config: Config, tmp_path: Path) -> None:
    whole = loop.train(config, tmp_path / "whole", engine=ScriptedEngine(write))
    limited = config.model_copy(update={"budget": BudgetConfig(student_rollouts=1)})
    run = loop.train(limited, tmp_path / "run", engine=ScriptedEngine(write))
    assert len(metrics_of(run)) == 1
    fork = fork_run(run, config, tmp_path / "fork")
    loop.resume(fork, engine=ScriptedEngine(write))
    assert metrics_of(fork) == metrics_of(whole)


def test_a_run_at_its_end_with_a_damaged_checkpoint_is_run_again(
    config: Config, tmp_path: Path
) -> None:
    whole = loop.train(config, tmp_path / "whole", engine=ScriptedEngine(write))
    run = loop.train(config, tmp_path / "run", engine=ScriptedEngine(write))
    last = run / "checkpoints" / f"step_{config.steps:06d}"
    (last / STATE).write_text("{}")
    loop.resume(run, engine=ScriptedEngine(write))
    verify_checkpoint(last)
    assert metrics_of(run) == metrics_of(whole)


def test_hours_are_counted_in_seconds_of_steps() -> None:
    spent = Spent().after(1800.0, {}).after(1800.0, {})
    assert spent.hours == 1.0
    assert spent.exhausts(BudgetConfig(hours=1.0))
    assert not spent.exhausts(BudgetConfig(hours=1.01))
    assert not spent.exhausts(BudgetConfig())
