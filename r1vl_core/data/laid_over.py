"""A file of key steps laid over curated questions: which question each of its records belongs to.

A record belongs to the question with its `id`, which may be ours or the source's own, or, without one, to those with its picture and
wording. What belongs to none is named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from r1vl_core.data.given import GivenRecord, Place
from r1vl_core.data.wording import normalise
from r1vl_core.records import Question


class LeftOut(NamedTuple):
    """A record that belongs to no question, and why.

    >>> LeftOut(GivenRecord(3, "q9", ()), "unknown_question", "no curated question has the id 'q9'").record.line
    3
    """

    record: GivenRecord
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class LaidOver:
    """Records by the ids of the questions they belong to, and those that belong to none.

    >>> LaidOver({"q1": GivenRecord(1, "q1", (("6/3 = 2",),))}).left_out
    []
    """

    by_question: dict[str, GivenRecord] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)


def lay_over(records: Sequence[GivenRecord], curated: Iterable[Question], drawn: frozenset[str]) -> LaidOver:
    """Find each record's question among the curated ones; `drawn` are the ids of those that get key steps.

    Ids go before picture and wording. Raises ValueError for an id that several sources use, naming the questions.
    """
    index = _Index(curated)
    laid = LaidOver()
    for record in sorted(records, key=lambda one: isinstance(one.whose, tuple)):
        found = index.find(record.whose)
        wanted = [question for question in found if question.id in drawn]
        free = [question for question in wanted if question.id not in laid.by_question]
        laid.by_question.update((question.id, record) for question in free)
        if free:
            continue
        if wanted:
            line = laid.by_question[wanted[0].id].line
            laid.left_out.append(LeftOut(record, "given_twice", f"question {wanted[0].id} has its key steps from line {line}"))
        elif found:
            laid.left_out.append(LeftOut(record, "not_drawn", f"question {found[0].id} is not among those drawn (key_steps.max_questions)"))
        else:
            laid.left_out.append(LeftOut(record, "unknown_question", f"no curated question has {spelled(record.whose)}"))
    laid.left_out.sort(key=lambda one: one.record.line)
    return laid


def examples(questions: Sequence[Question]) -> str:
    """How ids look here, for people."""
    theirs = next((question for question in questions if question.source_id is not None), None)
    own = f", or its source's own, like {theirs.source_id!r:.60}" if theirs else ""
    return f"an id looks like {questions[0].id!r}{own}"


def spelled(whose: Place) -> str:
    """What says which question is meant, for people."""
    return f"the id {whose!r:.60}" if isinstance(whose, str) else f"the picture {whose[0]!r:.60} and this wording"


class _Index:
    """Questions by what a record may call them."""

    def __init__(self, questions: Iterable[Question]) -> None:
        self._ours: dict[str, Question] = {}
        self._others: defaultdict[Place, list[Question]] = defaultdict(list)
        for question in questions:
            self._ours[question.id] = question
            self._others[question.image, normalise(question.text)].append(question)
            if question.source_id is not None:
                self._others[question.source_id].append(question)

    def find(self, whose: Place) -> list[Question]:
        if isinstance(whose, tuple):
            return self._others.get(whose, [])
        if whose in self._ours:
            return [self._ours[whose]]
        found = self._others.get(whose, [])
        if len(found) > 1:
            raise ValueError(
                f"{len(found)} questions have the id {whose!r:.60} in their sources: {places(found)}; give the ids that"
                " `r1vl key-steps export` writes"
            )
        return found


def places(questions: Sequence[Question]) -> str:
    """Some questions by id and source, for people."""
    return ", ".join(f"{question.id} (source {question.source})" for question in questions[:3]) + (" …" if len(questions) > 3 else "")
