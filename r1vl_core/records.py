"""The rows that cross a stage: what one stage writes and another reads.

Every type here is a frozen value. The DuckDB tables of `r1vl_core.data` hold the same columns under the same names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

SCHEMA_VERSION = 2
"""Raised when a column of a stored table changes its name or meaning; checked when a database is opened."""


def asked(question: str, choices: tuple[tuple[str, str], ...]) -> str:
    """What a policy is asked, in training and in evaluation alike: the question, and a line for each choice.

    >>> print(asked("Which is largest?", (("A", "3"), ("B", "9"))))
    Which is largest?
    Choices:
    A: 3
    B: 9
    """
    if not choices:
        return question
    return "\n".join([question, "Choices:", *(f"{letter}: {text}" for letter, text in choices)])


class RawRecord(NamedTuple):
    """One record as a reader found it, before any check.

    `raw` is the record's own text (JSON), kept so that a rejected record can be looked at as it was.
    `problem` names why the reader itself could not make sense of it (None when it could). `assistant` is empty for a record of answer
    and key steps alone; `answer` is the record's own, empty where only its path gives one; `choices` None: they stand in `user`.
    `row` is the record's place in its source, from 1; `source_id` the id that it has there, None where it has none.

    >>> RawRecord(source="world", row=1, raw="{}", user="<image>How many?", assistant="### ...", images=("a.png",)).row
    1
    """

    source: str
    row: int
    raw: str
    user: str = ""
    assistant: str = ""
    images: tuple[str, ...] = ()
    answer: str = ""
    key_steps: tuple[tuple[str, ...], ...] = ()
    choices: tuple[tuple[str, str], ...] | None = None
    source_id: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A validated question with its picture, its reference reasoning path and, once extracted, its key steps.

    `text` is what is asked, without image placeholder and without instruction; `choices` are (letter, text) pairs in the
    order asked, empty for a free-form question; `answer` is the gold answer as it stands in the reference path;
    `key_steps` is a tuple of key steps, each a tuple of equivalent forms. `reference_path` is empty where only the answer is known:
    StepGRPO may train on such a question, warm-up may not. `id` is made of its content; `source_id` is what its source calls it, None
    where that gives it no id.

    >>> Question(id="q1", source="world", image="1.png", image_sha256="", text="What is 6 / 3?", choices=(), answer="2",
    ...          reference_path="", key_steps=(("6/3 = 2", "6 divided by 3 equals 2"),)).key_steps[0][0]
    '6/3 = 2'
    """

    id: str
    source: str
    image: str
    image_sha256: str
    text: str
    choices: tuple[tuple[str, str], ...]
    answer: str
    reference_path: str
    key_steps: tuple[tuple[str, ...], ...] = ()
    source_id: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that did not become a question, with its place in its source, from 1, the named reason, and the record as it was.

    >>> Rejected(source="world", row=3, reason="missing_image", detail="3.png: no such file", raw="{}").reason
    'missing_image'
    """

    source: str
    row: int
    reason: str
    detail: str
    raw: str


@dataclass(frozen=True, slots=True)
class BenchmarkRow:
    """One row of an evaluation file. `image` is the encoded picture (PNG or JPEG bytes).

    >>> BenchmarkRow(index="7", question="How many?", choices=(), answer="3", category="count", image=b"").index
    '7'
    """

    index: str
    question: str
    choices: tuple[tuple[str, str], ...]
    answer: str
    category: str
    image: bytes


@dataclass(frozen=True, slots=True)
class ScoredResponse:
    """A policy's response to one benchmark row, with the answer found in it and the verdict on that answer.

    >>> ScoredResponse(index="7", category="count", response="…", extracted="3", answer="3", verdict="correct",
    ...                rule="number", num_tokens=61, truncated=False).verdict
    'correct'
    """

    index: str
    category: str
    response: str
    extracted: str
    answer: str
    verdict: str
    rule: str
    num_tokens: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class SourceCount:
    """One source of questions: its file and licence note, how often it is drawn from, and what became of its records.

    >>> SourceCount("web", "web.json", "CC BY 4.0", 1.0, num_accepted=9, num_rejected=1).num_records
    10
    """

    name: str
    file: str
    licence: str
    weight: float
    num_accepted: int
    num_rejected: int

    @property
    def num_records(self) -> int:
        """Records read."""
        return self.num_accepted + self.num_rejected
