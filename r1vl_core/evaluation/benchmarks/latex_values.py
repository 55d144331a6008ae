"""Do two LaTeX texts have the same value? As the toolkit finds it: parsed, printed as Python, and that computed."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from r1vl_core.evaluation.benchmarks import arithmetic
from r1vl_core.evaluation.benchmarks.latex_2024 import NoValueError, python_expression
from r1vl_core.evaluation.benchmarks.rulings import Version
from r1vl_core.reasoning.expressions import read_expression
from r1vl_core.reasoning.magnitude import is_too_large
from r1vl_core.reasoning.symbolic import printed

MAX_CHARACTERS = 500
"""The parser of 2026 is not given a longer text without a box: it has no value."""

MAX_WORDS = 2
"""Nor one with more words: that is prose, whose letters would be variables. The parser of 2024 stops by itself, at the first full stop."""

_PLAIN = re.compile(r"-?[0-9]+(?:\.[0-9]+)?", re.ASCII)
_WORD = re.compile(r"(?<![\\a-z{])[a-z]{3,}")
_BOX = re.compile(r"\\f?box")
_POINTS = ((7.3819, 3.0467), (-2.6173, 11.9421))
"""Values for the variables a and b, at which two formulas are compared: alike at both, they are the same formula."""


def latex_equal(said: str, gold: str, version: Version, tolerance: float) -> bool:
    """Do prediction and gold answer, lower-case and stripped, differ by less than the tolerance? False for what has no value.

    >>> latex_equal("x = 7", "7", "paper", 1e-6), latex_equal("x = 7", "7", "current", 1e-6)
    (True, False)
    """
    if _PLAIN.fullmatch(said) and _PLAIN.fullmatch(gold):
        return abs(float(said) - float(gold)) < tolerance
    return _equal_2024(said, gold, tolerance) if version == "paper" else _equal_2026(said, gold, tolerance)


def _equal_2024(said: str, gold: str, tolerance: float) -> bool:
    try:
        return _same(python_expression(said), python_expression(gold), tolerance)
    except NoValueError:
        return False


@lru_cache(maxsize=16_384)
def _equal_2026(said: str, gold: str, tolerance: float) -> bool:
    # The runtime that the toolkit pins fails over every percent sign; where there are boxes, only what they hold is read (see `printed`).
    if "%" in gold or len(gold) > MAX_CHARACTERS:
        return False
    if not _BOX.search(said) and ("%" in said or len(said) > MAX_CHARACTERS or len(_WORD.findall(said)) > MAX_WORDS):
        return False
    if is_too_large(read_expression(said).pieces):
        return False  # there a time limit ends it
    both = printed(said, gold)
    if isinstance(both, str) or both.answer is None or both.gold is None:
        return False
    return _same(both.answer, both.gold, tolerance) or (both.close and _has_value(both.answer) and _has_value(both.gold))


def _same(said: str, gold: str, tolerance: float) -> bool:
    """Are two printed expressions equal, as `eval` finds it where the toolkit calls it?

    There the name a is the gold expression and b the prediction, so that each is evaluated with them in it: every number equals the gold
    answer "b".
    """
    try:
        return all(_difference(said, gold, dict(zip("ab", point, strict=True))) < tolerance for point in _POINTS)
    except (arithmetic.NotArithmeticError, TypeError, OverflowError):
        return False


def _difference(said: str, gold: str, symbols: dict[str, Any]) -> float:
    names = {"a": arithmetic.value(gold, symbols), "b": arithmetic.value(said, symbols)}
    return float(abs(arithmetic.value(gold, names) - arithmetic.value(said, names)))


def _has_value(text: str) -> bool:
    try:
        return bool(abs(arithmetic.value(text)) >= 0)
    except (arithmetic.NotArithmeticError, TypeError, OverflowError):
        return False
