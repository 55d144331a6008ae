"""What a teacher would cost for all questions, from a sample that is really asked (and kept, so that it is paid for once)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from r1vl_core.config import Teacher
from r1vl_core.data.teacher.budget import Tokens
from r1vl_core.data.teacher.cache import AnswerKey
from r1vl_core.data.teacher.lesson import Lesson
from r1vl_core.records import Question

_Z95 = 1.96


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected for `num_questions`: tokens, cost with the half width of its 95 % interval, and hours at the preset's concurrency.

    `failed` counts the questions of the sample on which the teacher failed, `seconds_a_question` is the mean of its answers' together.

    >>> Estimate(20, 1000, Tokens(900_000, 90_000), 12.5, 0.8, 3.6, 1, 8).hours
    0.125
    """

    num_sampled: int
    num_questions: int
    tokens: Tokens
    cost: float
    cost_half_width: float
    seconds_a_question: float
    failed: int
    concurrency: int

    @property
    def hours(self) -> float:
        """Hours for all questions, if the service keeps up with the preset's concurrency."""
        return self.num_questions * self.seconds_a_question / self.concurrency / 3600


def draw_sample(questions: Sequence[Question], size: int) -> list[Question]:
    """`size` questions drawn by their ids alone: the same ones whatever the order, so that a second estimate asks nothing anew."""
    return sorted(questions, key=lambda question: hashlib.sha256(f"estimate {question.id}".encode()).hexdigest())[:size]


def estimate(lessons: Sequence[Lesson], num_questions: int, dials: Teacher) -> Estimate:
    """What `num_questions` take if they are like those of the lessons. Raises ValueError without a lesson."""
    if not lessons:
        raise ValueError("an estimate needs a sample of at least 1 question")
    tokens = _paid(lessons)
    costs = [one.cost(dials) for one in tokens]
    left = num_questions - len(lessons)  # what was sampled is known
    spread = stdev(costs) if len(costs) > 1 else 0.0
    asked, answered = fmean(one.asked for one in tokens), fmean(one.answered for one in tokens)
    return Estimate(
        num_sampled=len(lessons),
        num_questions=num_questions,
        tokens=Tokens(round(asked * num_questions), round(answered * num_questions)),
        cost=fmean(costs) * num_questions,
        cost_half_width=_Z95 * math.sqrt(left * spread**2 + (left * spread) ** 2 / len(costs)),
        seconds_a_question=fmean(sum(call.answer.seconds for call in lesson.calls) for lesson in lessons),
        failed=sum(bool(lesson.reason) for lesson in lessons),
        concurrency=dials.concurrency,
    )


def _paid(lessons: Sequence[Lesson]) -> list[Tokens]:
    """Tokens of each lesson; an answer that several share counts with the first."""
    seen: set[AnswerKey] = set()
    paid = []
    for lesson in lessons:
        calls = {call.key: call.answer.tokens for call in lesson.calls if call.key not in seen}
        seen |= calls.keys()
        paid.append(sum(calls.values(), Tokens()))
    return paid
