"""Questions set aside for validation: as many as asked for, the same whatever the order, and none of them left to train on."""

from __future__ import annotations

import pytest

from r1vl_core.data.set_aside import set_aside
from r1vl_core.records import Question

QUESTIONS = [Question(f"q{number}", "s", "i.png", "", "How many?", (), "1", "") for number in range(20)]


def test_the_draw_is_by_id_and_parts_keep_their_order() -> None:
    training, validation = set_aside(QUESTIONS, 6)
    assert len(validation) == 6
    assert sorted([*training, *validation], key=QUESTIONS.index) == QUESTIONS
    assert validation != QUESTIONS[:6]
    assert set_aside(QUESTIONS[::-1], 6) == (training[::-1], validation[::-1])
    _, more = set_aside(QUESTIONS, 9)
    assert {question.id for question in validation} < {question.id for question in more}


def test_none_is_set_aside_unless_asked_for() -> None:
    assert set_aside(QUESTIONS, 0) == (QUESTIONS, [])


@pytest.mark.parametrize("count", [20, 21])
def test_somebody_must_be_left_to_train_on(count: int) -> None:
    with pytest.raises(ValueError, match=rf"curate.eval_questions is {count}, but there are 20 questions"):
        set_aside(QUESTIONS, count)
