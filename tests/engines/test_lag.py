"""`engine.lag=1`: the sampler uses the weights before the last update, and nothing else changes."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the [train] extra")

from contract import OPTIM, pairs_of, rows_of

from gasp_rl.config import EngineConfig, LossConfig
from gasp_rl.engines.local import LocalEngine
from gasp_rl.engines.protocol import Row
from gasp_rl.errors import EngineError

LOSS = LossConfig()
SETTINGS = [{}, {"lora_rank": 4}, {"dtype": "bfloat16"}, {"sampler": "continuous"}]


def engine(folder: Path, **settings: object) -> LocalEngine:
    defaults = {"device": "cpu", "train_tokens": 50, "threads": 1}
    return LocalEngine(folder, EngineConfig.model_validate(defaults | settings))


def learn(policy: LocalEngine, rows: list[Row], loss: LossConfig = LOSS) -> dict[str, float]:
    metrics = policy.forward_backward(rows, loss) | policy.optim_step(OPTIM)
    policy.publish()
    return metrics


@pytest.fixture
def folder(model_folders: dict[str, Path]) -> Path:
    return model_folders["qwen2"]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_samples_are_those_of_an_engine_without_lag_one_update_ago(
    folder: Path, settings: dict[str, object]
) -> None:
    if "lora_rank" in settings:
        pytest.importorskip("peft", reason="needs the [lora] extra")
    plain, behind = engine(folder, **settings), engine(folder, lag=1, **settings)
    batches = [rows_of(plain)]
    for version in range(3):
        for policy in (plain, behind):
            learn(policy, batches[-1])
        assert (plain.version, behind.version) == (version + 1, version)
        older = rows_of(behind)
        assert [r.tokens_T for r in older] == [r.tokens_T for r in batches[-1]]
        if plain.caps.exact_resume:
            assert older == batches[-1]
        # the trainer itself is not behind
        assert behind.logprobs(pairs_of(older)) == plain.logprobs(pairs_of(older))
        batches.append(rows_of(plain))
        assert pairs_of(batches[-1]) != pairs_of(older)


def test_the_gap_is_seen_and_truncated_importance_sampling_corrects_for_it(folder: Path) -> None:
    norms = []
    for loss in (LossConfig(clip_low=1, clip_high=9), LossConfig(tis_cap=1.01)):
        policy = engine(folder, lag=1)
        assert learn(policy, rows_of(policy))["policy/logprob_gap"] < 1e-4
        stale = learn(policy, rows_of(policy), loss)
        assert stale["policy/logprob_gap"] > 0.01
        norms.append(stale["policy/grad_norm"])
    assert norms[1] < norms[0]  # ratios above the cap weigh less


def test_resuming_keeps_the_older_weights_to_the_bit(folder: Path, tmp_path: Path) -> None:
    whole = engine(folder, lag=1)
    learn(whole, rows_of(whole))
    whole.save(tmp_path)
    resumed = engine(folder, lag=1)
    resumed.load(tmp_path)
    assert resumed.version == whole.version == 0
    for _ in range(2):
        assert rows_of(resumed) == rows_of(whole)
        assert learn(resumed, rows_of(resumed)) == learn(whole, rows_of(whole))


def test_a_dropped_step_moves_no_weights(folder: Path) -> None:
    policy = engine(folder, lag=1)
    rows = rows_of(policy)
    learn(policy, rows)
    bad = Row(
        prompt=rows[0].prompt,
        tokens_T=rows[0].tokens_T,
        logprobs_T=rows[0].logprobs_T,
        advantages_T=(float("nan"),) * len(rows[0].tokens_T),
    )
    policy.forward_backward([bad], LOSS)
    with pytest.raises(EngineError, match="gradient norm is nan"):
        policy.optim_step(OPTIM)
    assert rows_of(policy) == rows
