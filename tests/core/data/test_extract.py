"""Key steps by rules: what is taken from a reference path, and that every key step matches where it came from."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from r1vl_core.data.extract import extract_key_steps
from r1vl_core.reasoning.equivalents import equation_forms, evaluate
from r1vl_core.reasoning.key_steps import compile_key_steps, match
from r1vl_core.reasoning.normal_form import normalise
from r1vl_core.reasoning.paths import parse, render


def first_forms(*steps: str, limit: int = 6) -> list[str]:
    return [forms[0] for forms in extract_key_steps(parse(render("d", "r", steps, "a")), limit)]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (("Row 1 holds 3 and 7.", "3 + 7 = 10"), ["row 1 holds 3 and 7", "3 + 7 = 10"]),
        (("The largest digit is 9, the smallest is 2.", "9 - 2 = 7"), ["largest digit is 9", "smallest is 2", "9 - 2 = 7"]),
        (("red is 4, blue is 6", "4 * 6 = 24"), ["red is 4", "blue is 6", "4 * 6 = 24"]),
        (("3 digits exceed 5",), ["3 digits exceed 5"]),
        (("The digits greater than 5 are 6, 8, 9 and 8.",), ["digits greater than 5 are 6 , 8 , 9 and 8"]),
        (("Column 1: 3 + 4 = 7", "7 > 5"), ["3 + 4 = 7", "7 > 5"]),
        (("\\( \\frac{6}{3} = 2 \\), so x = 2.",), ["6 / 3 = 2", "x = 2"]),
        (("2 + 3 = 5 = 10 / 2",), ["2 + 3 = 5", "5 = 10 / 2"]),
        (("3 + 7 = 10", "again 3 + 7 = 10, or 7 + 3 = 10"), ["3 + 7 = 10"]),
        (("The car travels 14 km in the first hour and then stops for quite a long time near the old bridge",), ["14 km"]),
        (("The triangle ABC is isosceles.",), ["triangle abc is isosceles"]),
        (("We think about it for a while",), []),
        (("3 + 7 = 12",), []),
    ],
)
def test_what_is_taken(steps: tuple[str, ...], expected: list[str]) -> None:
    assert first_forms(*steps) == expected


def test_equations_win_when_there_is_too_much() -> None:
    assert first_forms("red is 4, blue is 6", "4 * 6 = 24", "24 + 1 = 25", limit=2) == ["4 * 6 = 24", "24 + 1 = 25"]


def test_the_forms_named_in_the_method() -> None:
    ((*forms,),) = extract_key_steps(parse(render("d", "r", ["6/3 = 2"], "2")), 6)
    assert {"6/3 = 2", "\\frac{6}{3} = 2", "6 divided by 3 equals 2"} <= set(forms)


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="max_key_steps is 0"):
        extract_key_steps(parse(""), 0)


WORDS = st.sampled_from(
    [
        "3 + 7 = 10",
        "red is 4",
        "so",
        "x = 6",
        "14 cm",
        "the",
        "-",
        "2 *",
        "= 8",
        "not",
        "\\frac{6}{3} = 2",
        ".",
        ",",
        "\n",
        "½",
        "(",
        ")",
        "7",
        "is",
        "5%",
    ]
)


@given(st.lists(st.one_of(WORDS, st.text(max_size=6)), max_size=30).map(" ".join))
def test_every_key_step_matches_in_its_own_path(text: str) -> None:
    path = parse("### Step 1: " + text)
    key_steps = extract_key_steps(path, 6)
    assert len(key_steps) <= 6
    assert None not in match(path, compile_key_steps(key_steps))


NUMBERS = st.integers(1, 99)


@given(st.lists(NUMBERS, min_size=2, max_size=3), st.sampled_from("+-*/"))
def test_generated_equations_are_equal_to_their_source(operands: list[int], operator: str) -> None:
    operation = f" {operator} ".join(map(str, operands))
    value = evaluate(operation.split())
    assert value is not None
    oracle = sympy.sympify(operation, rational=True)
    assert Fraction(oracle.p, oracle.q) == value
    result = str(value) if value.denominator == 1 else f"{value.numerator} / {value.denominator}"
    forms = equation_forms(f"{operation} = {result}")
    assert len(set(forms)) == len(forms) > 1
    for form in forms:
        left, right = (evaluate(side.split()) for side in normalise(form).joined.split(" = "))
        assert left == right == value, form
