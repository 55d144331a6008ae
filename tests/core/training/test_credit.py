"""Step credit against numbers worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from r1vl_core.config import StepGRPO
from r1vl_core.training.advantages import grpo, rloo
from r1vl_core.training.credit import step_advantages
from tests.core.tiny_policies import tiny_policy
from tests.core.training.written_paths import ALPHA, GROUPS, groups_of, part_of_each_token

SETTINGS = StepGRPO(credit="step", advantage="rloo", group_size=4)


def with_changes(**changes: Any) -> StepGRPO:
    return StepGRPO.model_validate(SETTINGS.model_dump() | changes)


def test_the_rewards_see_the_written_paths_as_they_are_meant() -> None:
    for group, paths in zip(groups_of(tiny_policy(), SETTINGS), GROUPS, strict=True):
        for reward, path in zip(group.rewards, paths, strict=True):
            assert reward.step_rvr == path.valid
            assert reward.step_rar == pytest.approx(path.correct + ALPHA * sum(path.found) / 2 * path.answered)


def test_step_credit_by_hand() -> None:
    # Key steps are worth 0.05 each. To be earned from step 1, 2, ... on, in the paths of the first group (the last has no answer):
    #   0.1 0.05 0     0.05 0.05 0 0     0.1 0 0     0 0
    # rloo, each against the mean of the others that still lack a key step:
    #   step 1: 0.1 - 0.15/3, 0.05 - 0.2/3, 0.1 - 0.15/3, 0 - 0.25/3
    #   step 2, the third path has them all: 0.05 - 0.05/2, 0.05 - 0.05/2, out, 0 - 0.1/2     from step 3 on nothing is earned
    # The answers and StepRVR give 2, 0, 1, 0, and so 2 - 1/3, 0 - 1, 1 - 2/3, 0 - 1.
    group = groups_of(tiny_policy(), SETTINGS)[0]
    assert group.credit.paths == pytest.approx((5 / 3, -1, 1 / 3, -1))
    steps = ((0.05, 0.025, 0), (-0.05 / 3, 0.025, 0, 0), (0.05, 0, 0), (-0.25 / 3, -0.05))
    for found, expected in zip(group.credit.steps, steps, strict=True):
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("reward", ["both", "step_rar"])
def test_every_token_gets_the_advantage_of_its_step_and_of_its_path(reward: str) -> None:
    for group, paths in zip(groups_of(tiny_policy(), with_changes(reward=reward)), GROUPS, strict=True):
        outcomes = rloo([path.correct + path.valid * (reward == "both") for path in paths])
        assert group.credit.paths == tuple(outcomes)
        for path, outcome, steps, tokens in zip(paths, outcomes, group.credit.steps, group.credit.tokens, strict=True):
            assert len(steps) == len(path.parts)
            assert tokens == tuple(outcome + steps[part] for part in part_of_each_token(path))


def test_without_a_standard_deviation_the_first_tokens_get_what_path_credit_gives() -> None:
    policy = tiny_policy()
    by_step, by_path = groups_of(policy, SETTINGS), groups_of(policy, with_changes(credit="path"))
    for one, other in zip(by_step, by_path, strict=True):
        assert [tokens[0] for tokens in one.credit.tokens] == pytest.approx([tokens[0] for tokens in other.credit.tokens], abs=1e-12)


def test_where_no_key_step_tells_paths_apart_nothing_is_added() -> None:
    group = groups_of(tiny_policy(), with_changes(alpha=0.0))[0]
    assert not any(map(any, group.credit.steps))
    assert not groups_of(tiny_policy(), SETTINGS)[2].credit.teaches


def test_equal_earnings_teach_exactly_nothing() -> None:
    # 0.1 / 3 three times over is not 0.1 in floating point
    assert [steps[0] for steps in step_advantages([[1, 1, 1], [3, 0, 0], [0, 3, 0]], 3, [0.1 / 3] * 3, grpo)] == [0.0] * 3
    assert step_advantages([[], []], 0, [0.0, 0.0], rloo) == [[0.0], [0.0]]


def test_who_stops_is_compared_with_who_went_on_to_earn() -> None:
    # step 2 earned 1, 0 and, never written, 0: mean 1/3, sample variance (4/9 + 1/9 + 1/9) / 2
    scale = math.sqrt(1 / 3) + 1e-4
    first, second, third = step_advantages([[0, 1], [0, 0], [0]], 1, [1.0] * 3, grpo)
    assert (first[1], second[1], third[1]) == pytest.approx((2 / 3 / scale, -1 / 3 / scale, -1 / 3 / scale))
    assert (first[2], second[2]) == (0.0, 0.0)


def test_who_has_found_everything_is_not_blamed_for_stopping() -> None:
    first, *others = step_advantages([[1], [0, 1], [0, 0]], 1, [1.0] * 3, rloo)
    assert first == [1.0 - 0.5, 0.0]
    assert [steps[1] for steps in others] == [1.0, -1.0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reward": "outcome"}, 'reward "outcome" does not pay'),
        ({"reward": "step_rvr"}, 'reward "step_rvr" does not pay'),
        ({"advantage": "dr_grpo"}, 'goes with loss_mean "constant", not "path"'),
    ],
)
def test_methods_that_do_not_fit_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        with_changes(**changes)
