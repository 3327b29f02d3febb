"""What an engine must do, whatever it is: subclass, name `make`, and the tests run.

    class TestMine(EngineContract, WeightsContract):
        @pytest.fixture
        def make(self) -> Factory:
            return lambda: MyEngine(...)

`make` gives a fresh engine each time. `EngineContract` holds for all engines, `WeightsContract` for
those that hold weights, `BitsContract` for those that promise `caps.exact_resume`.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gasp_rl.config import LossConfig, OptimConfig
from gasp_rl.engines.protocol import Engine, Row, SamplingParams
from gasp_rl.errors import DataError, EngineError
from gasp_rl.types import Finish

Factory = Callable[..., Engine]
PROMPTS = ("hello", "a", "write 3 numbers", "hello")
PARAMS = SamplingParams(max_tokens=16, seed=5)
OPTIM = OptimConfig(lr=3e-3)
LOSS = LossConfig()


class EngineContract:
    """Of every engine."""

    def test_sample_has_the_asked_shape_and_is_reproducible(self, make: Factory) -> None:
        engine = make()
        prompts = [engine.tokenizer.encode(text) for text in PROMPTS]
        groups = engine.sample(prompts, 3, PARAMS)
        assert [len(group) for group in groups] == [3] * len(PROMPTS)
        for sample in (sample for group in groups for sample in group):
            assert 1 <= len(sample.tokens_T) == len(sample.logprobs_T) <= PARAMS.max_tokens
            assert sample.version == 0
            ended = sample.tokens_T[-1] == engine.tokenizer.eos_id
            assert ended == (sample.finish is Finish.STOP)
        assert make().sample(prompts, 3, PARAMS) == groups
        other_seed = SamplingParams(max_tokens=16, seed=6)
        assert engine.sample(prompts, 3, other_seed) != groups

    def test_equal_prompts_get_draws_of_their_own(self, make: Factory) -> None:
        engine = make()
        first, *_, last = engine.sample([engine.tokenizer.encode(t) for t in PROMPTS], 3, PARAMS)
        assert [c.tokens_T for c in first] != [c.tokens_T for c in last]

    def test_text_survives_the_tokenizer(self, make: Factory) -> None:
        tokenizer = make().tokenizer
        assert tokenizer.decode(tokenizer.encode("hello 42 world")) == "hello 42 world"
        assert tokenizer.decode((*tokenizer.encode("end"), tokenizer.eos_id)) == "end"

    def test_sampler_and_trainer_agree_at_each_version(self, make: Factory) -> None:
        engine = make()
        for version in range(2):
            rows = rows_of(engine)
            for row, logprobs in zip(rows, engine.logprobs(pairs_of(rows)), strict=True):
                np.testing.assert_allclose(row.logprobs_T, logprobs, atol=1e-4)
            assert engine.forward_backward(rows, LOSS)["policy/logprob_gap"] < 1e-4
            engine.optim_step(OPTIM)
            assert engine.publish() == engine.version == version + 1

    def test_metrics_are_named_and_finite(self, make: Factory) -> None:
        engine = make()
        rows = rows_of(engine)
        loss = LossConfig(kl_coef=0.1 if engine.caps.reference_logprobs else 0)
        metrics = engine.forward_backward(rows, loss) | engine.optim_step(OPTIM)
        assert set(metrics) >= {
            "loss",
            "tokens",
            "policy/entropy",
            "policy/logprob_gap",
            "policy/clip_fraction",
            "policy/grad_norm",
        }
        assert all(np.isfinite(value) for value in metrics.values())
        assert metrics["tokens"] == sum(len(row.tokens_T) for row in rows)
        assert metrics["policy/clip_fraction"] == 0  # on policy
        if loss.kl_coef:
            assert metrics["policy/kl"] == pytest.approx(0, abs=1e-6)  # at the reference

    @pytest.mark.parametrize("reduction", ["token-mean", "sequence-mean"])
    def test_loss_scale_on_rows_of_unequal_length(self, make: Factory, reduction: str) -> None:
        # on policy every ratio is 1: the loss is minus the reduction of the advantages
        engine = make()
        rows = [shortened(row, 1 + i) for i, row in enumerate(rows_of(engine))]
        assert len({len(row.tokens_T) for row in rows}) > 2
        if reduction == "token-mean":
            mean = np.mean([a for row in rows for a in row.advantages_T])
        else:
            mean = np.mean([np.mean(row.advantages_T) for row in rows])
        loss = engine.forward_backward(rows, LossConfig(reduction=reduction))["loss"]
        assert loss == pytest.approx(-mean, abs=1e-4)

    def test_save_and_load_keep_version_and_steps(self, make: Factory, tmp_path: Path) -> None:
        engine = make()
        engine.forward_backward(rows_of(engine), LOSS)
        engine.optim_step(OPTIM)
        engine.publish()
        engine.save(tmp_path / "step")
        resumed = make()
        resumed.load(tmp_path / "step")
        assert resumed.version == 1
        assert rows_of(resumed) == rows_of(engine)

    def test_loading_what_is_no_checkpoint_is_an_error(self, make: Factory, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="not a checkpoint"):
            make().load(tmp_path)

    def test_a_step_without_gradient_is_an_error(self, make: Factory) -> None:
        engine = make()
        with pytest.raises(EngineError, match="no gradient"):
            engine.optim_step(OPTIM)
        with pytest.raises(EngineError, match="no rows"):
            engine.forward_backward([], LOSS)


class WeightsContract:
    """Of engines whose training changes what they sample."""

    def test_greedy_samples_are_all_the_same(self, make: Factory) -> None:
        engine = make()
        greedy = SamplingParams(max_tokens=8, temperature=0.0, seed=1)
        (group,) = engine.sample([engine.tokenizer.encode("abc")], 3, greedy)
        assert [c.tokens_T for c in group] == [group[0].tokens_T] * 3
        assert all(x == 0 for c in group for x in c.logprobs_T)

    def test_gradient_sign(self, make: Factory) -> None:
        engine = make()
        good, bad = rows_of(engine)[1], rows_of(engine)[4]
        rows = [with_advantage(good, 1.0), with_advantage(bad, -1.0)]
        before = [sum(logprobs) for logprobs in engine.logprobs(pairs_of(rows))]
        engine.forward_backward(rows, LOSS)
        engine.optim_step(OPTIM)
        after = [sum(logprobs) for logprobs in engine.logprobs(pairs_of(rows))]
        assert after[0] > before[0]
        assert after[1] < before[1]

    def test_clip_bounds(self, make: Factory) -> None:
        engine = make()
        row = rows_of(engine)[1]
        sampler = tuple(x - 0.5 for x in row.logprobs_T)  # ratio 1.65, beyond 1 + .28
        off_policy = Row(
            prompt=row.prompt,
            tokens_T=row.tokens_T,
            logprobs_T=sampler,
            advantages_T=(1.0,) * len(sampler),
        )
        metrics = engine.forward_backward([off_policy], LOSS)
        assert metrics["policy/clip_fraction"] == 1
        assert metrics["loss"] == pytest.approx(-1.28, abs=1e-4)
        assert engine.optim_step(OPTIM)["policy/grad_norm"] == 0
        engine.forward_backward([off_policy], LossConfig(name="policy-gradient"))
        assert engine.optim_step(OPTIM)["policy/grad_norm"] > 0

    def test_rows_of_another_temperature_are_on_policy_too(self, make: Factory) -> None:
        engine = make()
        rows = rows_of(engine, temperature=0.7)
        if not engine.caps.tempered_rows:
            with pytest.raises(EngineError, match="temperature 1"):
                engine.forward_backward(rows, LOSS)
            return
        assert engine.forward_backward(rows, LOSS)["policy/logprob_gap"] < 1e-4

    def test_publish_changes_samples(self, make: Factory) -> None:
        engine = make()
        before = rows_of(engine)
        engine.forward_backward(before, LOSS)
        engine.optim_step(OptimConfig(lr=0.03))
        engine.publish()
        assert pairs_of(rows_of(engine)) != pairs_of(before)

    def test_a_gradient_that_is_not_finite_leaves_the_weights(self, make: Factory) -> None:
        engine = make()
        rows = rows_of(engine)
        engine.forward_backward([with_advantage(rows[0], float("nan"))], LOSS)
        with pytest.raises(EngineError, match="gradient norm is nan"):
            engine.optim_step(OPTIM)
        assert rows_of(engine) == rows
        engine.forward_backward(rows, LOSS)  # and the bad gradient is gone
        assert np.isfinite(engine.optim_step(OPTIM)["policy/grad_norm"])

    def test_the_reference_stays(self, make: Factory) -> None:
        engine = make()
        if not engine.caps.reference_logprobs:
            pytest.skip("this engine offers no reference")
        rows = rows_of(engine)
        before = engine.logprobs(pairs_of(rows), of="reference")
        assert before == engine.logprobs(pairs_of(rows))
        engine.forward_backward(rows, LOSS)
        engine.optim_step(OPTIM)
        assert engine.logprobs(pairs_of(rows), of="reference") == before
        assert engine.forward_backward(rows, LossConfig(kl_coef=0.1))["policy/kl"] > 0


class BitsContract:
    """Of engines that give the same bits again."""

    def test_save_load_then_the_same_next_step_to_the_bit(
        self, make: Factory, tmp_path: Path
    ) -> None:
        def step(engine: Engine) -> dict[str, float]:
            metrics = engine.forward_backward(rows_of(engine), LossConfig(kl_coef=0.1))
            metrics |= engine.optim_step(OPTIM)
            engine.publish()
            return metrics

        engine = make()
        step(engine)
        engine.save(tmp_path)
        expected = [step(engine), step(engine)]
        resumed = make()
        resumed.load(tmp_path)
        assert [step(resumed), step(resumed)] == expected
        assert rows_of(resumed) == rows_of(engine)

    def test_the_same_seed_twice_gives_the_same_bits(self, make: Factory) -> None:
        def run() -> list[object]:
            engine, seen = make(), []
            for _ in range(3):
                rows = rows_of(engine)
                metrics = engine.forward_backward(rows, LOSS) | engine.optim_step(OPTIM)
                seen += [rows, metrics, engine.publish()]
            return seen

        assert run() == run()


def rows_of(engine: Engine, n: int = 3, *, temperature: float = 1.0) -> list[Row]:
    """On-policy rows of unequal length with advantages of both signs."""
    prompts = [engine.tokenizer.encode(text) for text in PROMPTS]
    params = SamplingParams(max_tokens=16, seed=5, temperature=temperature)
    rng = np.random.default_rng(0)
    return [
        Row(
            prompt=prompt,
            tokens_T=sample.tokens_T,
            logprobs_T=sample.logprobs_T,
            advantages_T=(float(rng.normal()),) * len(sample.tokens_T),
            temperature=temperature,
        )
        for prompt, group in zip(prompts, engine.sample(prompts, n, params), strict=True)
        for sample in group
    ]


def pairs_of(rows: list[Row]) -> list[tuple]:
    return [(row.prompt, row.tokens_T) for row in rows]


def with_advantage(row: Row, advantage: float) -> Row:
    return Row(
        prompt=row.prompt,
        tokens_T=row.tokens_T,
        logprobs_T=row.logprobs_T,
        advantages_T=(advantage,) * len(row.tokens_T),
    )


def shortened(row: Row, tokens: int) -> Row:
    return Row(
        prompt=row.prompt,
        tokens_T=row.tokens_T[:tokens],
        logprobs_T=row.logprobs_T[:tokens],
        advantages_T=row.advantages_T[:tokens],
    )
