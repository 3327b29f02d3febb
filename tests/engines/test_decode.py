"""The sampler against the plain forward of one sequence at a time."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from tiny import ARCHITECTURES, EOS, VOCABULARY, tiny_model  # noqa: E402

from gasp_rl.engines.decode import UNIFORMS_BLOCK, decode, draw, uniforms  # noqa: E402
from gasp_rl.engines.protocol import SamplingParams  # noqa: E402
from gasp_rl.errors import EngineError  # noqa: E402
from gasp_rl.types import Finish, Tokens  # noqa: E402

STOPS = (EOS, 5, 6)


def some_prompts(count: int, longest: int = 12) -> list[Tokens]:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, longest + 1, count)
    return [tuple(rng.integers(2, VOCABULARY, length).tolist()) for length in lengths]


@torch.inference_mode()
def plain_logprobs(model, prompt: Tokens, completion: Tokens, temperature: float = 1.0):
    logits = model(input_ids=torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
    rows = torch.arange(len(completion))
    return (logits / temperature).log_softmax(-1)[rows, torch.tensor(completion)].numpy()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("capacity", [3, 1000])
def test_logprobs_are_those_of_a_plain_forward(architecture: str, capacity: int) -> None:
    # capacity 3 makes rows join and leave all the time; 40 tokens cross several cache refits
    model, prompts = tiny_model(architecture), some_prompts(7)
    plain = tiny_model(architecture, attention="eager")
    params = SamplingParams(max_tokens=40, temperature=0.8, seed=1)
    groups = decode(model, prompts, 3, params, stop_ids=STOPS, capacity=capacity)
    assert [len(group) for group in groups] == [3] * 7
    for prompt, group in zip(prompts, groups, strict=True):
        for sample in group:
            expected = plain_logprobs(plain, prompt, sample.tokens_T, 0.8)
            np.testing.assert_allclose(sample.logprobs_T, expected, atol=2e-5)


def test_draws_do_not_depend_on_the_batch() -> None:
    model, prompts = tiny_model("qwen2"), some_prompts(6)
    params = SamplingParams(max_tokens=20, seed=4)

    def tokens(prompts: list[Tokens], n: int, capacity: int) -> list[list[Tokens]]:
        groups = decode(model, prompts, n, params, stop_ids=STOPS, capacity=capacity)
        return [[c.tokens_T for c in group] for group in groups]

    all_at_once = tokens(prompts, 4, 100)
    assert tokens(prompts, 4, 100) == all_at_once
    assert tokens(prompts, 4, 5) == all_at_once
    assert tokens(prompts, 2, 100) == [group[:2] for group in all_at_once]
    assert tokens(prompts[:2], 4, 100) == all_at_once[:2]
    assert len({t for group in all_at_once for t in group}) > 12  # samples differ


def test_stop_and_length() -> None:
    model, prompts = tiny_model("smollm3-nope"), some_prompts(8)
    params = SamplingParams(max_tokens=15, seed=2)
    groups = decode(model, prompts, 8, params, stop_ids=STOPS, capacity=16)
    samples = [sample for group in groups for sample in group]
    assert {s.finish for s in samples} == {Finish.STOP, Finish.LENGTH}
    for sample in samples:
        assert not set(sample.tokens_T[:-1]) & set(STOPS)
        if sample.finish is Finish.STOP:
            assert sample.tokens_T[-1] in STOPS
        else:
            assert len(sample.tokens_T) == 15
            assert sample.tokens_T[-1] not in STOPS


def test_greedy_takes_the_most_likely_token() -> None:
    model, prompts = tiny_model("smollm3-rope"), some_prompts(4)
    params = SamplingParams(max_tokens=10, temperature=0)
    for prompt, (sample,) in zip(
        prompts, decode(model, prompts, 1, params, stop_ids=STOPS, capacity=8), strict=True
    ):
        assert sample.logprobs_T == (0.0,) * len(sample.tokens_T)
        for i, token in enumerate(sample.tokens_T):
            sequence = torch.tensor([prompt + sample.tokens_T[:i]])
            with torch.inference_mode():
                assert model(input_ids=sequence).logits[0, -1].argmax() == token


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(EngineError, match="empty prompt"):
        decode(tiny_model("qwen2"), [()], 1, SamplingParams(max_tokens=1), stop_ids=(), capacity=1)


def test_draw_inverts_the_cumulative_distribution() -> None:
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log().expand(5, -1)
    points = torch.tensor([0.0, 0.19, 0.21, 0.69, 0.71], dtype=torch.float64)
    tokens, logprobs = draw(logits, points, SamplingParams(max_tokens=1))
    assert tokens.tolist() == [0, 0, 1, 1, 2]
    np.testing.assert_allclose(logprobs.exp(), [0.2, 0.2, 0.5, 0.5, 0.3], rtol=1e-6)


def test_top_p_keeps_the_smallest_sufficient_set_and_renormalises() -> None:
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log().expand(3, -1)
    points = torch.tensor([0.0, 0.6, 0.99], dtype=torch.float64)
    tokens, logprobs = draw(logits, points, SamplingParams(max_tokens=1, top_p=0.7))
    assert tokens.tolist() == [1, 1, 2]  # .5 + .3 >= .7: token 0 falls
    np.testing.assert_allclose(logprobs.exp(), [0.625, 0.625, 0.375], rtol=1e-6)


@given(
    weights=st.lists(st.sampled_from([0.0, 1e-6, 0.3, 1.0]), min_size=2, max_size=9),
    point=st.floats(0, 1, exclude_max=True),
)
@settings(max_examples=200)
def test_draw_never_takes_an_impossible_token(weights: list[float], point: float) -> None:
    weights[len(weights) // 2] = 1.0
    logits = torch.tensor([weights]).log()
    tokens, logprobs = draw(logits, torch.tensor([point]).double(), SamplingParams(max_tokens=1))
    assert weights[int(tokens)] > 0
    assert torch.isfinite(logprobs).all()


def test_uniforms_are_streams_of_their_own() -> None:
    streams = [
        uniforms(seed, prompt, sample, block)
        for seed in (0, 1)
        for prompt in (0, 1)
        for sample in (0, 1)
        for block in (0, 1)
    ]
    assert len(np.unique(np.concatenate(streams))) == len(streams) * UNIFORMS_BLOCK
    many = np.concatenate([uniforms(7, 0, sample, 0) for sample in range(400)])
    assert abs(many.mean() - 0.5) < 0.01
    assert abs(many.var() - 1 / 12) < 0.003


def test_sampled_frequencies_follow_the_probabilities() -> None:
    model, prompt = tiny_model("qwen2"), (7, 8, 9)
    params = SamplingParams(max_tokens=1, seed=11)
    (group,) = decode(model, [prompt], 20000, params, stop_ids=(), capacity=20000)
    counts = np.bincount([c.tokens_T[0] for c in group], minlength=VOCABULARY)
    with torch.inference_mode():
        p = model(input_ids=torch.tensor([prompt])).logits[0, -1].softmax(-1).double().numpy()
    chi2 = ((counts - 20000 * p) ** 2 / (20000 * p)).sum()
    assert chi2 < 80  # 39 degrees of freedom: 80 is beyond the .9999 quantile
