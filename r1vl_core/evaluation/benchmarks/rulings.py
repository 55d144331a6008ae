"""What scoring speaks of: rows, profiles, and the ruling on one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Profile = Literal["paper", "current", "strict"]
"""`paper` and `current`: the public toolkit (VLMEvalKit) of November 2024 and of August 2026, defects included, row by row.
`strict`: the right answer, by `reasoning.answers`."""

PROFILES: tuple[Profile, ...] = ("paper", "current", "strict")

BENCHMARKS = ("mathvista", "mmstar", "mathvision", "chartqa", "dynamath", "hallusionbench", "mathverse", "mme", "handwriting")
"""Every benchmark, those of the paper's table in its order."""

Version = Literal["paper", "current"]
"""The profiles that reproduce the toolkit."""

Cell = str | int | float
"""A cell as the toolkit's data frames hold it; what is missing is the float nan."""

Row = Mapping[str, Cell]
"""One benchmark row by column; under `strict` every cell is the text of the file."""

DecidedBy = Literal["rule", "judge", "unresolved"]


@dataclass(frozen=True, slots=True)
class Ruling:
    """Is an answer right, which rule said so, and could it say so at all?

    `extracted` is what was compared with the gold answer, empty when nothing was found. A row that is `unresolved` could only be decided
    by a language model as judge; it counts as wrong.

    >>> Ruling("B", True, "option letter").decided_by
    'rule'
    """

    extracted: str
    correct: bool
    rule: str
    decided_by: DecidedBy = "rule"


@dataclass(frozen=True, slots=True)
class Totals:
    """What the rows of a benchmark come to: the published number (`column`) and every table, in the units the paper prints.

    >>> Totals(50.0, {"split": {"test_human": 50.0}}).column
    50.0
    """

    column: float
    tables: dict[str, Any] = field(default_factory=dict)


Judged = Sequence[tuple[Mapping[str, str], bool]]
"""Rows as texts, each with whether it is right, in file order."""


def unresolved(extracted: str, rule: str) -> Ruling:
    """No rule decides: wrong unless a judge says otherwise."""
    return Ruling(extracted, False, rule, "unresolved")


def crashed(extracted: str, reason: str) -> Ruling:
    """The toolkit ends with an exception here, and takes the whole evaluation with it; a wrong row, here."""
    return Ruling(extracted, False, f"toolkit crashes: {reason}")
