"""Questions set aside for validation: as many as asked for, the same whatever the order, and none of them left to train on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from r1vl_core.data.set_aside import Lots
from r1vl_core.records import Question, Rejected

QUESTIONS = [Question(f"q{number}", "s", "i.png", "", "How many?", (), "1", "") for number in range(20)]


def drawn(count: int, outcomes: Sequence[Question | Rejected] = QUESTIONS) -> set[str]:
    """Ids of `count` questions set aside; whatever passes comes out as it was."""
    lots = Lots(count)
    assert list(lots.seen(outcomes)) == list(outcomes)
    return lots.drawn()


def test_the_draw_is_by_id() -> None:
    validation = drawn(6)
    assert len(validation) == 6
    assert validation < {question.id for question in QUESTIONS}
    assert validation != {question.id for question in QUESTIONS[:6]}
    assert drawn(6, QUESTIONS[::-1]) == validation
    assert drawn(6, [*QUESTIONS, Rejected("s", 0, "no_image", "none", "")]) == validation
    assert validation < drawn(9)


def test_none_is_set_aside_unless_asked_for() -> None:
    assert drawn(0) == set()


@pytest.mark.parametrize("count", [20, 21])
def test_somebody_must_be_left_to_train_on(count: int) -> None:
    with pytest.raises(ValueError, match=rf"curate.eval_questions is {count}, but there are 20 questions"):
        drawn(count)
