"""What a plan calls the most that a step may take, beside what steps of real runs took."""

from pathlib import Path

import pytest

from gasp_rl.config import Config
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.methods import loop
from gasp_rl.planning.work import draws
from tests.methods import test_azr
from tests.methods.conftest import metrics_of, with_keys, write

RENEWAL = {"every": 1, "active": 2, "samples": 8, "retire": 1, "tests": 1, "tasks": 2}
LADDER = {"lifts": 3, "mastery": 0.25}


def planned(config: Config, *names: str) -> tuple[int, int]:
    """(completions, trained) of one step, at most: of the draws named, or of all of the student's."""
    teachers = ("proposals", "seeds")
    chosen = [d for d in draws(config) if (d.name in names if names else d.name not in teachers)]
    return sum(d.completions for d in chosen), sum(d.trained for d in chosen)


def measured(config: Config, run: Path, script=write) -> list[dict[str, float]]:
    steps = metrics_of(loop.train(config, run, engine=ScriptedEngine(script)))
    most, trained = planned(config)
    written = planned(config, "proposals", "seeds")[0]
    for metrics in steps:
        assert metrics["rollouts/student"] <= most
        assert metrics["rollouts/trained"] <= trained
        assert metrics.get("propose/written", 0) <= written
    return steps


def test_a_step_takes_no_more_than_is_planned(config: Config, tmp_path: Path) -> None:
    config = with_keys(config, student={"learn_from_probes": "valid"})
    measured(config, tmp_path / "gasp")
    measured(with_keys(config, method="gasp+rlvr"), tmp_path / "both")
    real = measured(with_keys(config, method="rlvr"), tmp_path / "rlvr")
    assert {m["rollouts/student"] for m in real} == {20}


def test_ladders_and_renewal_are_planned(config: Config, tmp_path: Path) -> None:
    few = {"goalposts_per_round": 3, "proposals_per_prompt": 1, "max_attempts": 1}
    plain = with_keys(config, steps=6, teacher=few)
    both = with_keys(plain, renewal={**RENEWAL, "active": 5, "samples": 16}, teacher=LADDER)
    steps = measured(both, tmp_path / "run")
    assert max(m["rollouts/student"] for m in steps) > planned(plain)[0]
    assert max(m["rollouts/trained"] for m in steps) <= planned(plain)[1] + 2 * 2
    assert planned(both, "probes of lifts") == (3 * 8, 0)


def test_a_ladder_is_probed_as_planned(config: Config, tmp_path: Path) -> None:
    config = with_keys(config, steps=4, teacher=LADDER)
    steps = measured(config, tmp_path / "run")
    tried = max(m["ladder/tried"] for m in steps) * config.probe.n
    assert tried == planned(config, "probes of lifts")[0]


@pytest.mark.parametrize("in_a_row", [1, 2])
def test_tests_of_goalposts_grow_with_those_that_retire(
    config: Config, in_a_row: int, tmp_path: Path
) -> None:
    def always_right(prompt: str, sample: int, random) -> str:
        constant = prompt.partition("Add ")[2].partition(" ")[0]
        if "You are a teacher" in prompt:
            return "nothing"
        return f"```python\ndef f(x):\n    return x + {constant}\n```"

    renewal = {**RENEWAL, "active": 1, "tests": in_a_row}
    config = with_keys(config, renewal=renewal, eval={"every": 0})
    steps = measured(config, tmp_path / "run", always_right)
    retired = 4 // in_a_row
    assert steps[-1]["renewal/retired"] == retired
    asked = [m["rollouts/student"] for m in steps]
    tasks = config.student.attempts * min(2, retired)
    assert max(asked) == planned(config, "tests of goalposts")[0] + tasks
    assert max(m["rollouts/trained"] for m in steps) == tasks
    assert planned(config, "attempts")[1] == config.student.attempts * 6 + tasks


def test_tests_of_goalposts_end_where_goalposts_do(config: Config) -> None:
    often = {**RENEWAL, "active": 50, "samples": 16}
    world = with_keys(config, data={"goalposts": "miniature"}, steps=100, renewal=often)
    assert planned(world, "tests of goalposts")[0] == 239 * 16
    limited = with_keys(config, data={"limit": 3}, renewal=often)
    assert planned(limited, "tests of goalposts")[0] == 3 * 16
    never = with_keys(config, renewal={**often, "every": 5})
    assert planned(never) == planned(config)


@pytest.mark.parametrize("compat", ["fixed", "azr-paper"])
def test_azr_with_its_seeds_and_estimates_is_planned(
    config: Config, compat: str, tmp_path: Path
) -> None:
    own = {"prompts": 3, "tasks": 4, "references": 2, "seeds": 6, "compat": compat}
    azr = with_keys(
        config,
        method="azr",
        steps=2,
        azr=own,
        teacher={"proposals_per_prompt": 4},
        student={"learn_from_probes": "accepted"},
    )
    steps = measured(azr, tmp_path / "run", test_azr.write)
    each = planned(azr, "proposals")[0]
    assert steps[0]["propose/written"] > each
    assert steps[1]["propose/written"] == each
    learns = compat == "fixed"
    solved = planned(azr, "attempts")[1]
    assert (max(m["rollouts/trained"] for m in steps) > solved) == learns
    assert (planned(azr, "probes")[1] > 0) == learns


def test_seeding_that_brings_nothing_ends_where_it_is_planned_to(
    config: Config, tmp_path: Path
) -> None:
    own = {"prompts": 1, "tasks": 1, "seeds": 6}
    azr = with_keys(config, method="azr", steps=1, azr=own, teacher={"proposals_per_prompt": 1})
    (step,) = measured(azr, tmp_path / "run", lambda prompt, sample, random: "nothing")
    assert step["propose/written"] == sum(planned(azr, name)[0] for name in ("seeds", "proposals"))
