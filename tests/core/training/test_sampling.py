"""Refilling a step: deterministic, bounded, and no question is skipped or taken twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from r1vl_core.training.groups import Group
from r1vl_core.training.order import Stream, draw
from r1vl_core.training.sampling import sample_groups
from tests.core.training.tiny_runs import ending_policy, run, same_reward, some_groups, sometimes_the_same, weights


def test_a_step_is_filled_with_groups_that_teach() -> None:
    _, reports = run(None, judge=sometimes_the_same, refill_rounds=5, beta=0.0)
    taken: list[str] = []
    for report in reports:
        groups = [report.samples[at : at + 3] for at in range(0, len(report.samples), 3)]
        assert report.metrics["groups_sampled"] == len(groups) > 3
        assert sum(any(path["advantage"] for path in group) for group in groups) == 3
        assert report.metrics["groups_skipped"] == len(groups) - 3
        assert 0 < report.metrics["refill_rounds"] <= 5
        assert report.metrics["zero_variance"] == 1 - 3 / len(groups)
        taken += [group[0]["question_id"] for group in groups]
    assert taken == [f"q{question}" for question in draw(4, 0, len(taken), seed=5)]


@pytest.mark.parametrize("beta", [0.0, 0.04])
def test_refilling_ends_where_nothing_teaches(beta: float) -> None:
    policy, (report,) = run(None, judge=same_reward, refill_rounds=2, num_steps=1, beta=beta)
    assert report.metrics["groups_sampled"] == 9
    assert report.metrics["refill_rounds"] == 2
    # With a reference the step still is what a step without refilling is made of: three groups.
    assert report.metrics["groups_skipped"] == (6 if beta else 9)
    if not beta:
        assert weights(policy) == weights(ending_policy())


def test_without_refilling_the_step_stays_as_it_was_drawn() -> None:
    _, reports = run(None, judge=sometimes_the_same, beta=0.0)
    assert all(report.metrics["groups_sampled"] == 3 and report.metrics["refill_rounds"] == 0 for report in reports)
    assert any(report.metrics["groups_skipped"] > 0 for report in reports)
    assert [report.samples[0]["question_id"] for report in reports] == [f"q{draw(4, at, at + 1, seed=5)[0]}" for at in (0, 3, 6, 9)]


def test_the_update_is_made_from_what_teaches_then_from_the_earliest_of_the_others() -> None:
    teaching, other = some_groups(ending_policy(), 2)
    still = dataclasses.replace(other, in_loss=(False,) * 4)
    assert teaching.teaches
    assert not still.teaches
    stream = Stream(100, 0)

    def sample(drawn: Sequence[tuple[int, int]]) -> list[Group]:
        return [teaching if place in (1, 4) else still for place, _ in drawn]

    found = sample_groups(sample, stream, num_groups=3, refill_rounds=1, accelerator=None)
    assert found.chosen == {0, 1, 4}
    assert (found.num_groups, found.num_rounds, stream.position) == (5, 2, 5)
    assert found.mine == [still, teaching, teaching]
