"""Equivalents: every generated form says exactly what its source says. Read here by sympy, not by our own normal form."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
import sympy
from hypothesis import example, given
from hypothesis import strategies as st

from r1vl_core.reasoning.equivalents import MAX_FORMS, equation_forms, evaluate, is_true, statement_forms, value_forms
from r1vl_core.reasoning.key_steps import compile_key_steps, match
from r1vl_core.reasoning.paths import parse

NUMBERS = st.one_of(st.integers(1, 999).map(str), st.decimals(0, 99, places=2).map(str), st.sampled_from(["x", "y", "a"]))
OPERATORS = st.sampled_from([" + ", " - ", " * ", " / "])
TAILS = st.lists(st.tuples(OPERATORS, NUMBERS), max_size=3)
OPERATIONS = st.builds(lambda first, rest: first + "".join(op + number for op, number in rest), NUMBERS, TAILS)
SPELLED = (
    (r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))"),
    (r"\\times|\\cdot|×|·|times", "*"),
    (r"÷|divided by", "/"),
    (r"plus", "+"),
    (r"minus", "-"),
    (r"equals| is ", "="),
)


def difference(equation: str) -> sympy.Expr:
    """Left side minus right side; decimals are read as the fractions they are, before anything is worked out."""
    for pattern, plain in SPELLED:
        equation = re.sub(pattern, plain, equation)
    left, right = equation.split("=")
    return sympy.sympify(left, rational=True) - sympy.sympify(right, rational=True)


@example("1", "1 / 99.00 + 4")
@given(OPERATIONS, OPERATIONS)
def test_every_generated_equation_is_equal_to_its_source(left: str, right: str) -> None:
    source = f"{left} = {right}"
    forms = equation_forms(source)
    assert forms[0] == source
    assert len(forms) <= MAX_FORMS
    try:
        expected = difference(source)
    except ZeroDivisionError:
        return
    if expected.has(sympy.zoo, sympy.nan):
        return
    for form in forms:
        found = difference(form)
        assert sympy.simplify(found - expected) == 0 or sympy.simplify(found + expected) == 0, form


@given(OPERATIONS, NUMBERS)
def test_every_generated_form_matches_itself(left: str, right: str) -> None:
    for form in equation_forms(f"{left} = {right}"):
        assert match(parse(f"### Step 1: {form}"), compile_key_steps([[form]]))[0] is not None, form


@given(st.decimals(-99, 99, places=3), st.sampled_from(["", " cm", " hours", " apples"]))
def test_every_spelling_of_a_value_has_that_value(number: object, unit: str) -> None:
    for form in value_forms(f"{number}{unit}"):
        value = re.sub(r"\\frac\{(-?\d+)\}\{(\d+)\}", r"\1/\2", form).split(" ")[0]
        assert Fraction(value) == Fraction(str(number)), form


@pytest.mark.parametrize(
    ("source", "form"),
    [
        ("6 / 3 = 2", "\\frac{6}{3} = 2"),
        ("6 / 3 = 2", "6 divided by 3 equals 2"),
        ("6 / 3 = 2", "2 = 6 / 3"),
        ("3 + 7 = 10", "7 + 3 = 10"),
        ("4 * 6 = 24", "6 * 4 = 24"),
        ("2 * 3 + 4 = 10", "4 + 2 * 3 = 10"),
        ("x = 0.5", "x = 1/2"),
        ("x = 1/2", "x = 0.5"),
        ("x = 10 cm", "x = 10 centimeters"),
        ("x = 2 hours", "x = 2 h"),
    ],
)
def test_the_ways_to_write_it(source: str, form: str) -> None:
    assert form in equation_forms(source)


def test_a_statement_keeps_its_value() -> None:
    assert statement_forms("largest digit", "9") == (
        "largest digit is 9",
        "largest digit = 9",
        "largest digit equals 9",
        "9 is the largest digit",
    )
    assert "width is 10 centimeters" in statement_forms("width", "10 cm")


@pytest.mark.parametrize(
    ("equation", "expected"), [("2 + 2 = 4", True), ("2 + 2 = 5", False), ("1/0 = 1", None), ("x = 4", None), ("7", None)]
)
def test_an_equation_between_numbers_holds_or_not(equation: str, expected: bool | None) -> None:
    assert is_true(equation) is expected


@given(st.text(max_size=60))
def test_any_text_can_be_asked(text: str) -> None:
    equation_forms(text)
    value_forms(text)
    is_true(text)
    evaluate(text.split())
