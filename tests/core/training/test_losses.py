"""Advantages and losses against plain arithmetic."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from r1vl_core.training.advantages import group_advantages
from r1vl_core.training.losses import MAX_LOG_RATIO, k3, path_weights, policy_gradient

rewards = st.lists(st.floats(0, 2.1, allow_nan=False), min_size=2, max_size=8)


@given(st.floats(0, 2.1), st.integers(2, 16))
def test_equal_rewards_give_exactly_zero(reward: float, group_size: int) -> None:
    assert group_advantages([reward] * group_size) == [0.0] * group_size


@settings(deadline=None)
@given(rewards)
def test_advantages_keep_the_order_and_sum_to_nothing(values: list[float]) -> None:
    advantages = group_advantages(values)
    assert abs(sum(advantages)) < 1e-9
    for (a, x), (b, y) in zip(sorted(zip(values, advantages, strict=True)), sorted(zip(values, advantages, strict=True))[1:], strict=False):
        assert x <= y or a == b


def test_advantages_by_hand() -> None:
    # mean 1, sample variance (1 + 0 + 0 + 1) / 3
    scale = math.sqrt(2 / 3) + 1e-4
    assert group_advantages([0.0, 1.0, 1.0, 2.0]) == pytest.approx([-1 / scale, 0, 0, 1 / scale], abs=1e-12)


def test_policy_gradient_has_the_value_of_the_advantage_and_the_gradient_of_the_log_probability() -> None:
    logprobs = torch.tensor([-0.5, -3.0], requires_grad=True)
    loss = policy_gradient(logprobs, torch.tensor([2.0, -1.0]))
    assert loss.tolist() == [-2.0, 1.0]
    loss.sum().backward()
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == [-2.0, 1.0]


def test_k3_by_hand_and_its_gradient() -> None:
    logprobs = torch.tensor([-1.0, -2.0, -0.5], requires_grad=True)
    reference = torch.tensor([-1.5, -1.0, -0.5])
    found = k3(logprobs, reference)
    assert found.tolist() == pytest.approx([math.exp(-0.5) + 0.5 - 1, math.exp(1.0) - 1.0 - 1, 0.0], abs=1e-6)
    found.sum().backward()
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == pytest.approx([1 - math.exp(-0.5), 1 - math.exp(1.0), 0.0], abs=1e-6)


def test_k3_stays_finite_when_policy_and_reference_part_far() -> None:
    logprobs = torch.tensor([-200.0, -1e-3], requires_grad=True)
    found = k3(logprobs, torch.tensor([-1e-3, -200.0]))
    assert found.tolist() == pytest.approx([math.exp(MAX_LOG_RATIO) - MAX_LOG_RATIO - 1, math.exp(-MAX_LOG_RATIO) + MAX_LOG_RATIO - 1])
    found.sum().backward()
    assert logprobs.grad is not None
    assert torch.isfinite(logprobs.grad).all()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_weights_are_a_mean_over_tokens_then_over_paths(lengths: list[int]) -> None:
    values = [float(3 * index + token) for index, length in enumerate(lengths) for token in range(length)]
    expected, start = 0.0, 0
    for length in lengths:
        expected += sum(values[start : start + length]) / length / len(lengths)
        start += length
    found = (torch.tensor(values, dtype=torch.float64) * path_weights(lengths, len(lengths)).double()).sum()
    assert float(found) == pytest.approx(expected, rel=1e-6)
