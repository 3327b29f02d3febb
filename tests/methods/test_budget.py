"""A budget ends a run with the step that spends it, and a resumed run at the same step."""

from pathlib import Path

import pytest

from gasp_rl.config import BudgetConfig, Config
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.methods import loop
from gasp_rl.methods.budget import Spent, spent_by
from gasp_rl.store.run import RunStore
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


def test_hours_are_counted_in_seconds_of_steps() -> None:
    spent = Spent().after(1800.0, {}).after(1800.0, {})
    assert spent.hours == 1.0
    assert spent.exhausts(BudgetConfig(hours=1.0))
    assert not spent.exhausts(BudgetConfig(hours=1.01))
    assert not spent.exhausts(BudgetConfig())
