"""Losses against plain arithmetic."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from r1vl_core.training.losses import (
    MAX_LOG_RATIO,
    StepSize,
    Weigh,
    clipped_policy_gradient,
    constant_mean,
    count_clipped,
    k3,
    path_mean,
    policy_gradient,
    token_mean,
)


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


def test_clipped_policy_gradient_by_hand_and_its_gradient() -> None:
    # Ratios 1, 1.5, 0.5 for a good token, then for a bad one: only a good 1.5 and a bad 0.5 have gone far enough.
    old = torch.full((6,), -1.0, dtype=torch.float64)
    logprobs = (old + torch.tensor([1.0, 1.5, 0.5] * 2, dtype=torch.float64).log()).requires_grad_()
    advantages = torch.tensor([2.0] * 3 + [-2.0] * 3, dtype=torch.float64)
    found = clipped_policy_gradient(logprobs, old, advantages, 0.2, 0.3)
    assert found.tolist() == pytest.approx([-2.0, -2.6, -1.0, 2.0, 3.0, 1.6])
    found.sum().backward()
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == pytest.approx([-2.0, 0.0, -1.0, 2.0, 3.0, 0.0])
    assert count_clipped(logprobs.detach(), old, advantages, 0.2, 0.3) == (1, 1)


def test_before_anything_moved_clipping_changes_neither_value_nor_gradient() -> None:
    logprobs = torch.tensor([-0.5, -3.0], requires_grad=True)
    advantages = torch.tensor([2.0, -1.0])
    found = clipped_policy_gradient(logprobs, logprobs.detach(), advantages, 0.2, 0.2)
    assert found.tolist() == policy_gradient(logprobs, advantages).tolist()
    found.sum().backward()
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == [-2.0, 1.0]


def test_a_ratio_cannot_overflow() -> None:
    logprobs = torch.tensor([-1e-3, -1e-3, -1e-3, -500.0], requires_grad=True)
    found = clipped_policy_gradient(logprobs, torch.tensor([-500.0, -500.0, -500.0, -1e-3]), torch.tensor([1.0, -1.0, 0.0, -1.0]), 0.2, 0.2)
    found.sum().backward()
    assert found.isfinite().all()
    assert logprobs.grad is not None
    assert logprobs.grad.isfinite().all()


lengths_of_paths = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def weighted(lengths: list[int], weights: torch.Tensor) -> tuple[list[list[float]], float]:
    """Some value for each token, and their weighted sum."""
    values = [[float(3 * index + token) for token in range(length)] for index, length in enumerate(lengths)]
    flat = torch.tensor([value for path in values for value in path], dtype=torch.float64)
    return values, float((flat * weights.double()).sum())


@given(lengths_of_paths)
def test_path_mean_is_a_mean_over_tokens_then_over_paths(lengths: list[int]) -> None:
    values, found = weighted(lengths, path_mean(lengths, StepSize(len(lengths), sum(lengths), 9)))
    assert found == pytest.approx(sum(sum(path) / len(path) for path in values) / len(lengths), rel=1e-6)


@given(lengths_of_paths)
def test_token_mean_is_a_mean_over_all_tokens(lengths: list[int]) -> None:
    values, found = weighted(lengths, token_mean(lengths, StepSize(len(lengths), sum(lengths), 9)))
    assert found == pytest.approx(sum(map(sum, values)) / sum(lengths), rel=1e-6)


@given(lengths_of_paths)
def test_constant_mean_divides_every_path_by_the_same_length(lengths: list[int]) -> None:
    values, found = weighted(lengths, constant_mean(lengths, StepSize(len(lengths), sum(lengths), 9)))
    assert found == pytest.approx(sum(sum(path) / 9 for path in values) / len(lengths), rel=1e-6)


@pytest.mark.parametrize("mean", [path_mean, token_mean, constant_mean])
def test_no_mean_divides_by_zero(mean: Weigh) -> None:
    assert mean([], StepSize(3, 0, 9)).tolist() == []
    assert mean([0, 2, 0], StepSize(3, 2, 9)).isfinite().all()
