"""Do two LaTeX texts have the same value? As the toolkit finds it: parsed, printed as Python, and that computed."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from r1vl_core.evaluation.benchmarks import arithmetic
from r1vl_core.evaluation.benchmarks.latex_2024 import NoValueError, python_expression
from r1vl_core.evaluation.benchmarks.rulings import Version
from r1vl_core.reasoning.symbolic import printed

MAX_CHARACTERS = 2_000
"""A longer text is not parsed, and has no value."""

_PLAIN = re.compile(r"-?[0-9]+(?:\.[0-9]+)?", re.ASCII)
_WORD = re.compile(r"[a-z_]\w*")
_OWN_NAMES = frozenset({"a", "b"})
"""The toolkit's variables of the two parsed expressions, gold and prediction."""


def latex_equal(said: str, gold: str, version: Version, tolerance: float) -> bool:
    """Do prediction and gold answer, lower-case and stripped, differ by less than the tolerance? False for what has no value.

    >>> latex_equal("x = 7", "7", "paper", 1e-6), latex_equal("x = 7", "7", "current", 1e-6)
    (True, False)
    """
    if _PLAIN.fullmatch(said) and _PLAIN.fullmatch(gold):
        return abs(float(said) - float(gold)) < tolerance
    if max(len(said), len(gold)) > MAX_CHARACTERS:
        return False
    return _equal_2024(said, gold, tolerance) if version == "paper" else _equal_2026(said, gold, tolerance)


def _equal_2024(said: str, gold: str, tolerance: float) -> bool:
    try:
        return _same(python_expression(said), python_expression(gold), tolerance)
    except NoValueError:
        return False


@lru_cache(maxsize=16_384)
def _equal_2026(said: str, gold: str, tolerance: float) -> bool:
    # The runtime that the toolkit pins fails over every percent sign.
    if "%" in said or "%" in gold:
        return False
    both = printed(said, gold)
    if isinstance(both, str) or both.answer is None or both.gold is None:
        return False
    return _same(both.answer, both.gold, tolerance) or (both.close and _has_value(both.answer) and _has_value(both.gold))


def _same(said: str, gold: str, tolerance: float) -> bool:
    """Do two printed expressions have values that close? The name a in one stands for the gold answer, as `eval` would find it."""
    names = set(_WORD.findall(gold))
    if names:
        return names <= _OWN_NAMES and said == gold
    try:
        wanted: Any = arithmetic.value(gold)
        found: Any = arithmetic.value(said, {"a": wanted})
        return bool(abs(found - wanted) < tolerance)
    except (arithmetic.NotArithmeticError, TypeError, OverflowError):
        return False


def _has_value(text: str) -> bool:
    try:
        return bool(abs(arithmetic.value(text)) >= 0)
    except (arithmetic.NotArithmeticError, TypeError, OverflowError):
        return False
