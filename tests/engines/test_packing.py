"""Packed, shared-prefix forwards against one plain row at a time."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from tiny import ARCHITECTURES, VOCABULARY, tiny_model  # noqa: E402

from gasp_rl.config import LossConfig  # noqa: E402
from gasp_rl.engines import scoring  # noqa: E402
from gasp_rl.engines.packing import Pair, micro_batches, pack  # noqa: E402
from gasp_rl.engines.scoring import mean_hidden_states, pair_logprobs, score  # noqa: E402
from gasp_rl.errors import EngineError  # noqa: E402
from gasp_rl.learning import losses  # noqa: E402

CPU, FLOAT = torch.device("cpu"), torch.float32
tokens = st.lists(st.integers(2, VOCABULARY - 1), min_size=1, max_size=9).map(tuple)
prompts = st.sampled_from([(3,), (4, 5), (6, 7, 8, 9, 10, 11), (6, 7, 8)])
pairs_of_tokens = st.lists(st.tuples(prompts, tokens), min_size=1, max_size=12)


def random_pairs() -> list[Pair]:
    """Twelve rows over four prompts, out of order; lengths from 1 to 30."""
    rng = np.random.default_rng(3)
    some = [tuple(rng.integers(2, VOCABULARY, n).tolist()) for n in (1, 5, 12, 20)]
    lengths = [1, 30, 2, 17, 9, 9, 25, 4, 30, 12, 3, 8]
    return [
        (some[i % 4], tuple(rng.integers(2, VOCABULARY, length).tolist()))
        for i, length in enumerate(lengths)
    ]


def plain_score(model, pair: Pair):
    prompt, completion = pair
    logits = model(input_ids=torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0]


@pytest.mark.parametrize("reduction", ["token-mean", "sequence-mean"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gradient_equals_that_of_plain_rows(architecture: str, reduction: str) -> None:
    pairs = random_pairs()
    rng = np.random.default_rng(0)
    lengths = torch.tensor([len(completion) for _, completion in pairs])
    weights = losses.token_weights(lengths, reduction).split(lengths.tolist())
    advantages = [torch.tensor(rng.normal(size=n)).float() for n in lengths]
    config = LossConfig(name="policy-gradient")

    def loss_of(logprobs, i: int):
        olds = logprobs.detach() - 0.1  # a ratio that is not 1
        return (weights[i] * losses.policy_loss(logprobs, olds, advantages[i], config).loss_N).sum()

    plain = tiny_model(architecture, attention="eager")
    for i, pair in enumerate(pairs):
        loss_of(plain_score(plain, pair), i).backward()
    packed = tiny_model(architecture)
    for indices in micro_batches(pairs, budget=60):
        layout = pack([pairs[i] for i in indices], CPU, FLOAT)
        parts = score(packed, layout)[0].split(lengths[indices].tolist())
        sum(loss_of(part, i) for i, part in zip(indices, parts, strict=True)).backward()

    for (name, a), b in zip(plain.named_parameters(), packed.parameters(), strict=True):
        error = (a.grad - b.grad).norm() / a.grad.norm()
        # a key bias shifts all scores of a query alike: its true gradient is 0
        noise = name.endswith("k_proj.bias") and b.grad.norm() < 1e-6
        assert error < 1e-5 or noise, (name, error)


def test_chunks_of_logits_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, gradients = random_pairs(), []
    for at_once in (scoring.LOGITS_AT_ONCE, 7 * VOCABULARY):
        monkeypatch.setattr(scoring, "LOGITS_AT_ONCE", at_once)
        model = tiny_model("qwen2")
        logprobs, entropy = score(model, pack(pairs, CPU, FLOAT), entropy_gradient=True)
        (logprobs.sum() + entropy.sum()).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)


def test_the_prompt_is_laid_out_once() -> None:
    prompt = (3, 4, 5, 6)
    packed = pack([(prompt, (7, 8)), (prompt, (9, 10, 11)), ((12,), (13,))], CPU, FLOAT)
    assert packed.ids_T.tolist() == [3, 4, 5, 6, 12, 7, 9, 10]
    assert packed.positions_T.tolist() == [0, 1, 2, 3, 0, 4, 4, 5]
    assert packed.sources_N.tolist() == [3, 5, 3, 6, 7, 4]
    assert packed.targets_N.tolist() == [7, 8, 9, 10, 11, 13]


@given(pairs=pairs_of_tokens, budget=st.integers(1, 60))
@settings(max_examples=60)
def test_any_rows_score_as_plain_rows(pairs: list[Pair], budget: int) -> None:
    model = tiny_model("smollm3-rope")
    for pair, logprobs in zip(pairs, pair_logprobs(model, pairs, budget), strict=True):
        with torch.no_grad():
            np.testing.assert_allclose(logprobs, plain_score(model, pair), atol=1e-4)


@given(pairs=pairs_of_tokens, budget=st.integers(1, 60))
def test_micro_batches_hold_each_pair_once_within_the_budget(
    pairs: list[Pair], budget: int
) -> None:
    batches = list(micro_batches(pairs, budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(pairs)))
    for batch in batches:
        size = len(pack([pairs[i] for i in batch], CPU, FLOAT).ids_T)
        assert size <= budget or len(batch) == 1


def test_an_empty_prompt_is_an_error() -> None:
    with pytest.raises(EngineError, match="empty prompt"):
        pack([((), (3,))], CPU, FLOAT)


def test_mean_hidden_states_are_those_of_plain_rows() -> None:
    model = tiny_model("qwen2")
    texts = [(3, 4, 5), (6,), (3, 4, 5), (7, 8, 9, 10, 11)]
    means = mean_hidden_states(model, texts, budget=6)
    for text, mean in zip(texts, means, strict=True):
        with torch.no_grad():
            expected = model.base_model(input_ids=torch.tensor([text])).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(mean, expected, atol=1e-5)
