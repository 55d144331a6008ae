"""Questions that no training sees, for validation while training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from r1vl_core.records import Question


def set_aside(questions: Sequence[Question], count: int) -> tuple[list[Question], list[Question]]:
    """The questions to train on, and `count` drawn from all of them to validate on, both in the order given.

    The draw goes by the questions' ids alone: every seed of a training, and a file with its rows in another order, validate on the same.
    Another question about the same picture may stay among those to train on. Raises ValueError when none would be left to train on.
    """
    if count and count >= len(questions):
        raise ValueError(f"curate.eval_questions is {count}, but there are {len(questions)} questions; set aside fewer")
    drawn = {question.id for question in sorted(questions, key=_lot)[:count]}
    return [q for q in questions if q.id not in drawn], [q for q in questions if q.id in drawn]


def _lot(question: Question) -> str:
    return hashlib.sha256(f"validation {question.id}".encode()).hexdigest()
