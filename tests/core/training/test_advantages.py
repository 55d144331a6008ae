"""Advantages against plain arithmetic."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1vl_core.training.advantages import ADVANTAGES, Advantage, dr_grpo, grpo, rloo

every_method = pytest.mark.parametrize("advantage", ADVANTAGES.values(), ids=ADVANTAGES)


@every_method
@given(st.floats(0, 2.1), st.integers(1, 16))
def test_equal_rewards_give_exactly_zero(advantage: Advantage, reward: float, group_size: int) -> None:
    assert advantage([reward] * group_size) == [0.0] * group_size


@every_method
@settings(deadline=None)
@given(st.lists(st.floats(0, 2.1, allow_nan=False), min_size=2, max_size=8))
def test_advantages_keep_the_order_and_sum_to_nothing(advantage: Advantage, values: list[float]) -> None:
    advantages = advantage(values)
    assert abs(sum(advantages)) < 1e-9
    ranked = sorted(zip(values, advantages, strict=True))
    for (x, a), (y, b) in pairwise(ranked):
        assert x <= y
        assert a <= b + 1e-12


def test_grpo_by_hand() -> None:
    # mean 1, sample variance (1 + 0 + 0 + 1) / 3
    scale = math.sqrt(2 / 3) + 1e-4
    assert grpo([0.0, 1.0, 1.0, 2.0]) == pytest.approx([-1 / scale, 0, 0, 1 / scale], abs=1e-12)


def test_dr_grpo_by_hand() -> None:
    assert dr_grpo([0.0, 1.0, 1.0, 2.1]) == pytest.approx([-1.025, -0.025, -0.025, 1.075], abs=1e-12)


def test_rloo_by_hand() -> None:
    # the means of the others: 4.1 / 3, 3.1 / 3, 3.1 / 3, 2 / 3
    assert rloo([0.0, 1.0, 1.0, 2.1]) == pytest.approx([-4.1 / 3, -0.1 / 3, -0.1 / 3, 4.3 / 3], abs=1e-12)
