"""A rate is of now, whatever went before."""

from __future__ import annotations

import pytest

from r1vl_core.recent_rate import RecentRate


def test_what_was_at_hand_at_once_is_forgotten_after_a_minute() -> None:
    rate = RecentRate(began=0.0)
    rate.at(1.0, 100_000)
    for second in range(2, 120):
        now = rate.at(float(second), 100_000 + 5 * (second - 1))
    assert now == pytest.approx(5.0)


def test_what_takes_minutes_a_time_has_the_rate_of_its_last_ten() -> None:
    rate = RecentRate(began=0.0)
    rates = [rate.at(200.0 * number, number) for number in range(1, 30)]
    assert rates == pytest.approx([1 / 200] * 29)


def test_no_time_is_no_rate() -> None:
    assert RecentRate(began=5.0).at(5.0, 3) == 0.0
