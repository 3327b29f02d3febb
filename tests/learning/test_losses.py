"""Losses against numbers worked by hand and against autograd."""

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from gasp_rl.config import LossConfig  # noqa: E402
from gasp_rl.learning.losses import (  # noqa: E402
    clipped,
    entropy,
    kl_k3,
    policy_loss,
    token_weights,
    truncated_importance,
)

logprobs = st.floats(-20, 0)


def floats(*values: float, grad: bool = False):
    return torch.tensor(values, dtype=torch.float64, requires_grad=grad)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "is_clipped"),
    [
        (1.0, 2.0, -2.0, 0),
        (1.25, 1.0, -1.25, 0),  # below 1 + .28: clip-higher
        (1.5, 1.0, -1.28, 1),
        (0.5, 1.0, -0.5, 0),  # pessimistic: a low ratio of a good token still learns
        (0.5, -1.0, 0.8, 1),
        (1.5, -1.0, 1.5, 0),
        (5.0, -1.0, 3.0, 1),  # dual clip
        (5.0, -2.0, 6.0, 1),
        (5.0, 0.0, 0.0, 0),
    ],
)
def test_clipped_by_hand(ratio: float, advantage: float, loss: float, is_clipped: int) -> None:
    result = clipped(floats(ratio), floats(advantage), 0.2, 0.28, 3.0)
    assert result.loss_N.item() == pytest.approx(loss)
    assert result.clipped_N.item() == is_clipped


@given(ratio=st.floats(0.01, 20), advantage=st.floats(-5, 5), dual=st.sampled_from([None, 3.0]))
def test_clipped_means_without_gradient(ratio: float, advantage: float, dual) -> None:
    x = floats(ratio, grad=True)
    result = clipped(x, floats(advantage), 0.2, 0.28, dual)
    result.loss_N.sum().backward()
    if result.clipped_N.item():
        assert x.grad.item() == 0
    elif not math.isclose(ratio, 0.8) and not math.isclose(ratio, 1.28):
        assert x.grad.item() == pytest.approx(-advantage)


def test_on_policy_every_surrogate_has_the_policy_gradient() -> None:
    advantages = floats(1.0, -2.0, 0.5)
    for config in (
        LossConfig(name="ppo"),
        LossConfig(name="policy-gradient"),
        LossConfig(name="ppo", tis_cap=2.0),
    ):
        x = floats(-1.0, -2.0, -0.1, grad=True)
        policy_loss(x, x.detach(), advantages, config).loss_N.sum().backward()
        assert x.grad.tolist() == pytest.approx([-1.0, 2.0, -0.5])


def test_tis_weights_the_gradient_by_the_truncated_ratio() -> None:
    x = floats(-1.0, -1.0, grad=True)
    config = LossConfig(name="ppo", tis_cap=2.0)
    policy_loss(x, floats(-1.5, -3.0), floats(1.0, 1.0), config).loss_N.sum().backward()
    assert x.grad.tolist() == pytest.approx([-math.exp(0.5), -2.0])


def test_truncated_importance_by_hand() -> None:
    assert truncated_importance(floats(-1.0), floats(-2.0), 5.0).item() == pytest.approx(math.e)
    assert truncated_importance(floats(-1.0), floats(-2.0), 2.0).item() == 2.0


def test_k3_by_hand() -> None:
    assert kl_k3(floats(-1.0), floats(-2.0)).item() == pytest.approx(math.exp(-1))
    assert kl_k3(floats(-2.0), floats(-2.0)).item() == 0


@given(policy=logprobs, reference=logprobs)
def test_k3_is_never_negative(policy: float, reference: float) -> None:
    assert kl_k3(floats(policy), floats(reference)).item() >= -1e-12


def test_k3_is_unbiased() -> None:
    p, q = floats(0.2, 0.5, 0.3), floats(0.4, 0.4, 0.2)
    expectation = (p * kl_k3(p.log(), q.log())).sum()
    assert expectation.item() == pytest.approx((p * (p / q).log()).sum().item())


def test_entropy_by_hand() -> None:
    rows = torch.stack([floats(0.25, 0.25, 0.25, 0.25), floats(1.0, 0.0, 0.0, 0.0)]).log()
    assert entropy(rows).tolist() == pytest.approx([math.log(4), 0.0])


def test_token_weights_by_hand() -> None:
    lengths = torch.tensor([1, 3])
    assert token_weights(lengths, "token-mean").tolist() == pytest.approx([0.25] * 4)
    expected = [1 / 2, 1 / 6, 1 / 6, 1 / 6]
    assert token_weights(lengths, "sequence-mean").tolist() == pytest.approx(expected)


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_both_reductions_are_means(lengths: list[int]) -> None:
    for reduction in ("token-mean", "sequence-mean"):
        weights = token_weights(torch.tensor(lengths), reduction)
        assert len(weights) == sum(lengths)
        assert weights.sum().item() == pytest.approx(1, rel=1e-5)
