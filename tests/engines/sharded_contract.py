"""Run by `test_sharded.py`, by two processes at once, each making the same calls."""

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from contract import (
    LOSS,
    OPTIM,
    PARAMS,
    BitsContract,
    EngineContract,
    Factory,
    WeightsContract,
    pairs_of,
    rows_of,
    with_advantage,
)

from gasp_rl.config import EngineConfig, LossConfig
from gasp_rl.engines.local import LocalEngine
from gasp_rl.engines.protocol import Row
from gasp_rl.engines.sharded import LeadingEngine, ShardedEngine, follow
from gasp_rl.errors import EngineError

CPU = {"device": "cpu", "sample_rows": 6, "train_tokens": 50, "threads": 1}


@pytest.fixture(scope="session", autouse=True)
def group() -> object:
    dist.init_process_group("gloo")
    yield
    dist.destroy_process_group()


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest) -> Path:
    """One folder for both processes."""
    path = Path(os.environ["GASP_SHARED_TMP"]) / request.node.name
    path.mkdir(exist_ok=True)
    return path


@pytest.fixture(scope="session")
def folder() -> Path:
    return Path(os.environ["GASP_SHARED_TMP"]) / "model"


def sharded(folder: Path, **settings: object) -> ShardedEngine:
    return ShardedEngine(folder, EngineConfig.model_validate(CPU | settings))


def alone(folder: Path, **settings: object) -> LocalEngine:
    return LocalEngine(folder, EngineConfig.model_validate(CPU | settings))


class TestSharded(EngineContract, WeightsContract, BitsContract):
    @pytest.fixture
    def make(self, folder: Path) -> Factory:
        return lambda: sharded(folder)


def gap(a: LocalEngine, b: LocalEngine) -> float:
    pairs = zip(a._model.parameters(), b._model.parameters(), strict=True)
    return max(float((x - y).abs().max()) for x, y in pairs)


@pytest.mark.parametrize("rows", [1, 5, 12])
@pytest.mark.parametrize("reduction", ["token-mean", "sequence-mean"])
def test_a_step_gives_the_weights_of_one_process(folder: Path, rows: int, reduction: str) -> None:
    # with one row, one process has nothing of its own; with 5 and 12 the shares are unequal
    ours, theirs = sharded(folder), alone(folder)
    batch = rows_of(theirs)[:rows]
    loss = LossConfig(reduction=reduction, kl_coef=0.1)
    for _ in range(2):
        metrics = [e.forward_backward(batch, loss) | e.optim_step(OPTIM) for e in (ours, theirs)]
        assert metrics[0] == pytest.approx(metrics[1], rel=1e-4, abs=1e-6)
    assert gap(alone(folder), theirs) > 1e-3
    assert gap(ours, theirs) < 1e-5


def test_it_samples_as_one_process_does(folder: Path) -> None:
    assert [r.tokens_T for r in rows_of(sharded(folder))] == [
        r.tokens_T for r in rows_of(alone(folder))
    ]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_checkpoints_go_both_ways(folder: Path, tmp_path: Path, dtype: str) -> None:
    def step(engine: LocalEngine, rows: list[Row]) -> None:
        engine.forward_backward(rows, LOSS)
        engine.optim_step(OPTIM)

    ours, theirs = sharded(folder, dtype=dtype), alone(folder, dtype=dtype)
    rows = rows_of(alone(folder))
    step(ours, rows)
    ours.save(tmp_path)
    theirs.load(tmp_path)
    assert gap(ours, theirs) == 0
    dist.barrier()
    if dist.get_rank() == 0:
        theirs.save(tmp_path)
    dist.barrier()
    ours.load(tmp_path)
    assert gap(ours, theirs) == 0
    step(ours, rows)
    step(theirs, rows)
    assert gap(ours, theirs) < (1e-5 if dtype == "float32" else 1e-2)


def test_what_it_cannot_do_is_refused(folder: Path) -> None:
    with pytest.raises(EngineError, match=r"engine\.lora_rank=4"):
        sharded(folder, lora_rank=4)


def test_one_process_leads_and_the_others_follow(folder: Path, tmp_path: Path) -> None:
    engine = sharded(folder)
    if dist.get_rank():
        follow(engine)
        assert engine.version == 1
        return
    leader = LeadingEngine(engine)
    prompts = [leader.tokenizer.encode(text) for text in ("abc", "d", "ef")]
    assert [len(group) for group in leader.sample(prompts, 2, PARAMS)] == [2, 2, 2]
    rows = rows_of(leader)
    leader.forward_backward([with_advantage(rows[0], float("nan"))], LOSS)
    with pytest.raises(EngineError, match="gradient norm is nan"):
        leader.optim_step(OPTIM)
    leader.forward_backward(rows, LOSS)
    leader.optim_step(OPTIM)
    assert leader.publish() == leader.version == 1
    leader.save(tmp_path)
    before = leader.logprobs(pairs_of(rows))
    leader.load(tmp_path)
    assert leader.logprobs(pairs_of(rows)) == before
    leader.close()


def test_weights_are_divided(folder: Path) -> None:
    weights = sharded(folder)._optimizer.weights
    local = sum(weight.to_local().numel() for weight in weights)
    assert local < 0.6 * sum(weight.numel() for weight in weights)
    assert all(weight.dtype == torch.float32 for weight in weights)
