"""The strict profile: is the answer right, by `reasoning.answers`, whatever the toolkit makes of it?"""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from r1vl_core.evaluation.benchmarks.final_answer import MARKER
from r1vl_core.evaluation.benchmarks.rulings import Ruling
from r1vl_core.reasoning import answers, paths
from r1vl_core.reasoning.expressions import read_expression

YES_NO = (("A", "Yes"), ("B", "No"))
"""The choices that R1-VL is given for HallusionBench."""

_OF_PI = re.compile(r"(-?[0-9]{1,12}(?:\.[0-9]{1,12})?)? *(?:π|\\pi)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Choices:
    """Choices by letter, in the order asked; none for a free-form question."""

    choices: tuple[tuple[str, str], ...] = ()


def rule_strictly(response: str, gold: str, choices: tuple[tuple[str, str], ...] = ()) -> Ruling:
    """The ruling on a raw response. Never raises for any response.

    >>> rule_strictly("### The final answer is: 14 cm", "14").correct
    True
    """
    extracted = find_answer(response)
    verdict = answers.is_correct(extracted, gold, Choices(choices))
    return Ruling(extracted, verdict.verdict == "correct", verdict.rule if verdict.verdict in ("correct", "wrong") else verdict.verdict)


def find_answer(response: str) -> str:
    """The answer section's text; without sections what follows the last marker, without a marker the whole response.

    >>> find_answer("The final answer is: 12. No: The final answer is: 16"), find_answer(" 16 ")
    ('16', '16')
    """
    section = paths.parse(response).answer
    return section.text if section is not None else response.rpartition(MARKER)[2].strip()


def within(response: str, gold: str, *, relative: float = 0.0, absolute: float = 0.0) -> bool:
    """Is the answer a number no further from the gold number than a share of it, or than an absolute amount?

    >>> within("105", "100", relative=0.05), within("106", "100", relative=0.05), within("2π", "6.283", absolute=0.001)
    (True, False, True)
    """
    answer, wanted = _number(find_answer(response)), _number(gold)
    if answer is None or wanted is None or (answer.unit and wanted.unit and answer.unit != wanted.unit):
        return False
    return abs(answer.value - wanted.value) <= max(relative * abs(wanted.value), absolute)


class _Number(NamedTuple):
    value: float
    unit: str = ""


def _number(text: str) -> _Number | None:
    multiple = _OF_PI.fullmatch(text.strip(" $"))
    if multiple:
        return _Number(float(multiple[1] or 1) * math.pi)
    quantity = read_expression(text[: answers.MAX_ANSWER_LENGTH]).quantity
    try:
        return _Number(float(quantity.value), quantity.unit) if quantity else None
    except OverflowError:
        return None


def literal(cell: str) -> Any:
    """A cell that holds a Python literal, such as a list; None when it holds none.

    >>> literal("['12', '16']"), literal("[Inspired, Hopeful]")
    (['12', '16'], None)
    """
    try:
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
