"""The shipped base is the one its card describes, and a real run on it is exact."""

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the base needs the train extra")

from gasp_rl.config import load_config
from gasp_rl.methods import loop
from gasp_rl.miniature import assets
from gasp_rl.miniature.build import measure_slope
from gasp_rl.store.run import RunStore

WORLDS = [assets.data_folder() / name for name in ("miniature", "miniature-flat")]
SAMPLES = 25
MOST_DEVIATIONS = 4.5
"""Nine depths are compared; by chance alone one of 10^4 such tests would fail."""


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_the_base_has_the_slope_of_its_card(world: Path) -> None:
    card = json.loads((world / "card.json").read_text())
    told = {(p["depth"], p["temperature"]): p for p in card["slope"]}
    measured = measure_slope(world / "model", world, SAMPLES, seed=12345, temperatures=(1.0,))
    assert len(measured) == 9
    for point in measured:
        claim = told[point.depth, point.temperature]
        pooled = (point.correct + claim["correct"]) / (point.total + claim["total"])
        spread = math.sqrt(pooled * (1 - pooled) * (1 / point.total + 1 / claim["total"]))
        difference = abs(point.correct / point.total - claim["correct"] / claim["total"])
        assert difference <= MOST_DEVIATIONS * spread + 1e-12, point


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_the_base_is_small(world: Path) -> None:
    assert (world / "model" / "model.safetensors").stat().st_size <= 4_000_000


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_goalposts_are_candidates_that_nothing_solved(world: Path) -> None:
    candidates = {q.key for q in assets.questions(world.name, "candidates")}
    mined = assets.goalposts(world.name).goalposts
    assert len(mined) >= 50
    for goalpost in mined:
        assert goalpost.question.key in candidates
        assert sum(d.confirmed for d in goalpost.draws) >= 100
        assert goalpost.bound() < 0.05


def metrics_of(run: Path) -> list[dict[str, float]]:
    with RunStore.open_readonly(run) as reader:
        return [dict(step.metrics) for step in reader.steps()]


@pytest.mark.parametrize("recipe", ["miniature", "miniature-rlvr"])
def test_a_real_run_repeats_to_the_bit_and_resumes_to_the_bit(recipe: str, tmp_path: Path) -> None:
    small = [
        "steps=3",
        "store.checkpoint_every=1",
        "eval.every=2",
        "eval.goalpost_samples=2",
        "eval.validation_samples=1",
        "data.limit=16",
        "teacher.goalposts_per_round=4",
        "probe.n=8",
        "student.tasks=4",
        "rlvr.questions=8",
        "rlvr.attempts=4",
    ]
    config = load_config(recipe, small)
    first = loop.train(config, tmp_path / "first")
    second = loop.train(config, tmp_path / "second")
    assert metrics_of(first) == metrics_of(second)
    with RunStore.open(second) as store:
        store.rollback_to(1)
    loop.resume(second)
    assert metrics_of(first) == metrics_of(second)
    weights = [run / "checkpoints" / "step_000003" / "model.safetensors" for run in (first, second)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    prompts = WORLDS[0] / "model" / "prompts.toml"
    assert (weights[0].parent / "prompts.toml").read_text() == prompts.read_text()
