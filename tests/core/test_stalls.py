"""Steps in which no group taught anything are told, with what is likely the cause."""

from __future__ import annotations

import pytest

from r1vl_core.report import STALL_STEPS, Report, stalls, warn_of_stalls


def run(shares: list[float], **metrics: float) -> list[Report]:
    """A report for each share of groups with equal rewards."""
    others = {"truncated": 0.0, "unjudged": 0.0, "accuracy": 0.5, **metrics}
    return [Report(step, len(shares), {"zero_variance": share, **others}) for step, share in enumerate(shares, 1)]


def test_a_stretch_is_told_whole_and_a_short_one_is_not() -> None:
    found = [(stall.first, stall.last) for stall in stalls(run([1, 1, 0.9, *[1] * STALL_STEPS, 0, *[1] * 5]))]
    assert found == [(4, 3 + STALL_STEPS), (5 + STALL_STEPS, 9 + STALL_STEPS)]
    assert list(stalls(run([0.99] * 9))) == []


def test_a_warning_comes_once_a_stall_while_the_run_goes_on() -> None:
    reports, told = run([1] * 7 + [0] + [1] * 3), list[str]()
    assert list(warn_of_stalls(reports, told.append)) == reports
    assert [text.split(":")[0] for text in told] == ["steps 1 to 3", "steps 9 to 11"]


@pytest.mark.parametrize(
    ("metrics", "cure"),
    [
        ({"truncated": 0.9, "accuracy": 0.0}, "raise stepgrpo.max_new_tokens"),
        ({"unjudged": 0.9}, "could not be judged"),
        ({"accuracy": 1.0}, "every path is right"),
        ({"accuracy": 0.0}, "no path is right: warm up longer"),
        ({}, "raise stepgrpo.temperature"),
    ],
)
def test_the_cause_is_read_off_the_steps(metrics: dict[str, float], cure: str) -> None:
    (stall,) = stalls(run([1.0] * 4, **metrics))
    assert cure in str(stall)


def test_reports_without_groups_stall_never() -> None:
    assert list(stalls([Report(step, 9, {"loss": 1.0}) for step in range(1, 10)])) == []
