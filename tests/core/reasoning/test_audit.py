"""The audit's measures on cases worked by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1vl_core.reasoning.attacks import ATTACKS, Honest
from r1vl_core.reasoning.audit import area, audit, discrimination, hackability
from r1vl_core.reasoning.paths import parse
from tests.core.reasoning.honest_paths import QUESTIONS


@pytest.mark.parametrize(
    ("scores", "right", "value"),
    [
        ([1.0, 0.0], [True, False], 1.0),
        ([0.0, 1.0], [True, False], 0.0),
        ([0.5, 0.5], [True, False], 0.5),
        ([0.9, 0.4, 0.6, 0.1], [True, True, False, False], 0.75),
        ([1.0, 1.0, 0.0], [True, False, False], 0.75),
        ([1.0, 2.0], [True, True], None),
        ([], [], None),
    ],
)
def test_the_area_by_hand(scores: list[float], right: list[bool], value: float | None) -> None:
    found = area(scores, right, ["q"] * len(scores))
    assert found.value == found.within == value


def test_within_a_question_difficulty_does_not_count() -> None:
    """An easy question with high scores and a hard one with low scores, each without any order inside."""
    scores = [0.9, 0.9, 0.9, 0.1, 0.1, 0.1]
    right = [True, True, False, True, False, False]
    found = area(scores, right, ["easy"] * 3 + ["hard"] * 3)
    assert found.value is not None
    assert found.value > 0.6
    assert found.within == 0.5


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=40))
def test_the_area_is_the_share_of_pairs_in_order(paths: list[tuple[int, bool]]) -> None:
    good = [score for score, right in paths if right]
    bad = [score for score, right in paths if not right]
    found = area([float(score) for score, _ in paths], [right for _, right in paths], ["q"] * len(paths))
    if not good or not bad:
        assert found.value is None
        return
    pairs = [1.0 if one > other else 0.5 if one == other else 0.0 for one in good for other in bad]
    assert found.value == pytest.approx(sum(pairs) / len(pairs))
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_discrimination_over_sampled_paths() -> None:
    by_id = {question.id: question for question in QUESTIONS}
    sampled = [(question.id, question.reference_path) for question in QUESTIONS]
    sampled += [(question.id, "### Step 1: no idea\n### The final answer is: 4711 miles") for question in QUESTIONS]
    found = discrimination(by_id, sampled, "none")
    assert (found.num_paths, found.num_right) == (2 * len(QUESTIONS), len(QUESTIONS))
    assert found.k.value == found.total.value == found.total.within == 1.0


def test_there_are_at_least_twelve_attacks_and_each_keeps_the_right_answer_or_two() -> None:
    assert len(ATTACKS) >= 12
    for attack in ATTACKS.values():
        assert (attack.__doc__ or "").endswith(".")
        for question, other in pairwise(QUESTIONS):
            honest = Honest(question, parse(question.reference_path), other)
            text = attack(honest)
            assert text != question.reference_path
            assert text is None or question.answer.rstrip(".") in text


def test_a_win_is_a_reward_of_at_least_the_honest_one() -> None:
    found = hackability(QUESTIONS, "none", attacks={"same": lambda honest: honest.question.reference_path, "nothing": lambda honest: ""})
    same, nothing = found.attacks
    assert (same.num_wins, same.num_paths, same.mean_reward) == (len(QUESTIONS), len(QUESTIONS), same.mean_honest)
    assert (nothing.num_wins, nothing.mean_reward) == (0, 0.0)
    assert found.num_kept == found.num_honest == len(QUESTIONS)


def test_nothing_to_audit_is_said() -> None:
    with pytest.raises(ValueError, match="nothing to audit"):
        audit("none", [], [], ["none"])


def test_the_limit_spreads_evenly() -> None:
    found = audit("hand", QUESTIONS, [], ["strict"], limit=3)
    assert found.attacked["strict"].num_honest == 3
    assert found.sampled == {}
