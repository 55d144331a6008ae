"""Normal forms keep the value of what is written: brackets are dropped only where they change nothing."""

from __future__ import annotations

import re
from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from r1vl_core.reasoning.equivalents import evaluate
from r1vl_core.reasoning.groups import is_grouped
from r1vl_core.reasoning.normal_form import normalise

# An expression is (how it is written, its value or None, how tightly it binds: 1 a sum, 2 a product, 3 a whole).
Written = tuple[str, Fraction | None, int]


def _number(number: int) -> Written:
    return str(number), Fraction(number), 3


def _in_brackets(one: Written) -> Written:
    return f"({one[0]})", one[1], 3


def _value(sign: str, left: Fraction | None, right: Fraction | None) -> Fraction | None:
    if left is None or right is None or (sign == "/" and not right):
        return None
    return {"+": left.__add__, "-": left.__sub__, "*": left.__mul__, "/": left.__truediv__}[sign](right)


def _joined(sign: str, spelling: str, left: Written, right: Written) -> Written:
    binding = 1 if sign in "+-" else 2
    left = _in_brackets(left) if left[2] < binding else left
    # A quotient of a fraction is left out: "6 ÷ \frac{1}{2}" is read as "6 ÷ 1/2" is.
    right = _in_brackets(right) if right[2] < binding or (sign in "-/" and right[2] == binding) or "frac" in right[0] else right
    return f"{left[0]}{spelling}{right[0]}", _value(sign, left[1], right[1]), binding


def _fraction(left: Written, right: Written) -> Written:
    return f"\\frac{{{left[0]}}}{{{right[0]}}}", _value("/", left[1], right[1]), 2


def _larger(smaller: st.SearchStrategy[Written]) -> st.SearchStrategy[Written]:
    spellings = {"+": ("+", " + "), "-": ("-", " - "), "*": ("*", " × ", "\\times "), "/": ("/", " ÷ ")}
    joined = [st.builds(_joined, st.just(sign), st.sampled_from(ways), smaller, smaller) for sign, ways in spellings.items()]
    return st.one_of(*joined, st.builds(_fraction, smaller, smaller), st.builds(_in_brackets, smaller))


EXPRESSIONS = st.recursive(st.builds(_number, st.integers(1, 9)), _larger, max_leaves=6)


@given(EXPRESSIONS)
def test_an_expression_keeps_its_value(written: Written) -> None:
    text, value, _ = written
    assume(value is not None)
    assert evaluate(normalise(text).joined.split()) == value


_PRODUCT = r"(?:[*/]|\\times|\\cdot|\\div|times|by)"
_BESIDE_A_BRACKET = re.compile(rf"\)[ \t]*{_PRODUCT}|{_PRODUCT}[ \t]*\(|\^\(")
_NEAR_BRACKETS = st.lists(
    st.sampled_from(["(", ")", "*", "/", "times", "\\times", "\\cdot", "cdot", "\\div", "by", "^", " ", "\t", "\n", "\\", "x"])
)


@given(_NEAR_BRACKETS.map("".join))
def test_brackets_around_a_product_are_told_as_their_pattern_says(text: str) -> None:
    assert is_grouped(text) == ("(" in text and _BESIDE_A_BRACKET.search(text) is not None)
