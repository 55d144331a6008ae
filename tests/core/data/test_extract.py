"""Key steps by rules: what is taken from a reference path, and that every key step matches where it came from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from r1vl_core.data.equations import SIDES
from r1vl_core.data.extract import extract_each, extract_key_steps
from r1vl_core.handwriting.world import make_item, written_path
from r1vl_core.reasoning.equivalents import equation_forms, evaluate, holds, is_true, spellings
from r1vl_core.reasoning.key_steps import compile_form, compile_key_steps, compile_pieces, match
from r1vl_core.reasoning.normal_form import normalise
from r1vl_core.reasoning.paths import parse, render


def first_forms(*steps: str, limit: int = 6) -> list[str]:
    return [forms[0] for forms in extract_key_steps(parse(render("d", "r", steps, "a")), limit)]


_UNITS = ["v = 60 m / 4 s", "60 m / 4 s = 15 m / s", "r = 4 omega + 6 omega", "4 omega + 6 omega = 10 omega"]


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
        (("$3x + 10 = 70$, so $3x = 60$.", "x = 20"), ["3 x + 10 = 70", "3 x = 60", "x = 20"]),
        (("\\( 36\\pi - 4\\pi = 32\\pi \\)",), ["36 π - 4 π = 32 π"]),
        (("The difference is 27 °C - 14 °C = 13 °C.",), ["27 ° c - 14 ° c = 13 ° c"]),
        (("v = 60 m / 4 s = 15 m/s", "R = 4 Ω + 6 Ω = 10 Ω"), _UNITS),
        (("1 kg = 1000 g", "9 + 5 = 14 cm"), ["1 kg = 1000 g", "9 + 5 = 14"]),
        (("The circle has 8 equal parts.",), ["circle has 8 equal parts"]),
        (("The slope = 2 and the intercept = -1.",), ["slope is 2", "intercept is - 1"]),
        (("Up there the water boils much earlier and at about 90 °C only",), ["90 ° c"]),
        (("The equation of the line is given by", "y = 2x"), ["y = 2 x"]),
        (("The mean is (12 + 15 + 9) / 3 = 36 / 3.",), ["( 12 + 15 + 9 ) / 3 = 36 / 3"]),
        (("The median of 3, 5, 7, 9 and 11 in order is 7.",), ["7"]),
        (
            (
                "As step 2 will show, 5 + 7 = 12.",
                "Multiply the first by 2. We need to find f(3): 4 * 3 = 12",
            ),
            ["5 + 7 = 12", "4 * 3 = 12"],
        ),
        (("First, convert 2.5 hours to minutes", "(1) + (2)", "or 25 %, using E = hc"), ["2.5 hours", "25 %", "e is hc"]),
    ],
)
def test_what_is_taken(steps: tuple[str, ...], expected: list[str]) -> None:
    assert first_forms(*steps) == expected


@pytest.mark.parametrize("bullet", ["- ", "* ", "+ ", "\u2022 ", "\u2013 ", "\u00b7 ", "1. ", "2) ", "(3) ", "a) ", "(b) ", "- **", "  - "])
def test_what_lists_put_before_a_line_is_no_sign_of_it(bullet: str) -> None:
    listed = f"The squares:\n{bullet}3^2 + 4^2 = 25\n{bullet}x = 5\n{bullet}9 + 16 = 25"
    assert first_forms(listed) == ["3 ^ 2 + 4 ^ 2 = 25", "x = 5", "9 + 16 = 25"]
    assert first_forms(f"{bullet}9 + 16 = 25") == ["9 + 16 = 25"]
    assert first_forms("-5 + 12 = 7\n-3 + 4 = 1") == ["- 5 + 12 = 7", "- 3 + 4 = 1"]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (
            "\\begin{aligned}\nc^2 &= 3^2 + 4^2 \\\\\n&= 9 + 16 \\\\\n&= 25\n\\end{aligned}",
            ["c ^ 2 = 3 ^ 2 + 4 ^ 2", "3 ^ 2 + 4 ^ 2 = 9 + 16", "9 + 16 = 25"],
        ),
        ("5 + 7\n= 12", ["5 + 7 = 12"]),
        ("\\[ 5 + 7 \\]\n\\[ = 12 \\]", ["5 + 7 = 12"]),
        ("\\begin{cases} x + y = 7 \\\\ x - y = 1 \\end{cases}", ["x + y = 7"]),
        ("$$x + y = 7$$ $$x - y = 1$$", ["x + y = 7"]),
        ("| leg | square |\n|---|---|\n| 3 | 3^2 = 9 |\n| 4 | 16 cm |", ["3 ^ 2 = 9", "16 cm"]),
    ],
)
def test_a_calculation_over_several_lines_is_one_and_two_beside_each_other_are_two(step: str, expected: list[str]) -> None:
    assert first_forms(step) == expected


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("sin A = 5/13", ["sin a is 5 / 13"]),
        ("R = 4 apples + 6 apples", ["4"]),
        ("P = 2(l + w)", []),
        ("2(a + b) = 34", ["34"]),
        ("V = π r^2 h", []),
        ("h = 20 tan(30°) = 20 * 0.5", []),
        ("We know 1 ft = 12 in, so 5 ft 6 in = 66 in.", ["1 ft = 12 in", "5 ft", "6 in", "66 in"]),
        ("4 + ? + 2 = 15, so ? = 9", ["9"]),
        ("x^2 - 5x + 6 = (x - 2)(x - 3)", []),
        ("f(x) = 2x + 1", []),
        ("The domain is [2, ∞)", []),
        ("The point (a, b) = (3, 4)", []),
        ("The graph passes through the point (3, -2)", ["graph passes through the point ( 3 , - 2 )"]),
        ("The car drives on with a speed of 14 m/s for a long time", ["14 m / s"]),
        ("1/2 × 6 × 8 = 24 cm²", ["1 / 2 * 6 * 8 = 24"]),
        ("150 / 2.5 = 60 km/h", ["150 / 2.5 = 60"]),
        ("He is wearing one", []),
        ("whereas the inner core is solid", ["inner core is solid"]),
        ("Substituting gives 6/9 = 8/EF", ["6 / 9 is 8 / ef"]),
    ],
)
def test_nothing_is_taken_by_half(step: str, expected: list[str]) -> None:
    assert first_forms(step) == expected


def test_equations_win_when_there_is_too_much() -> None:
    assert first_forms("red is 4, blue is 6", "4 * 6 = 24", "24 + 1 = 25", limit=2) == ["4 * 6 = 24", "24 + 1 = 25"]


def test_what_a_long_path_comes_to_is_among_its_key_steps() -> None:
    sums = [f"{number} + 3 = {number + 3}" for number in range(10, 30)]
    assert first_forms(*sums) == [*sums[:5], sums[-1]]
    assert first_forms(*sums, "The total is 32, that is 29 + 3 = 32, as before.") == [*sums[:5], sums[-1]]  # nothing twice
    assert first_forms("\n".join(sums), limit=2) == [sums[0], sums[-1]]
    assert first_forms("c^2 = 25", "\\sqrt{25} = 5") == ["c ^ 2 = 25", "\u221a 25 = 5"]


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


_TOKENS = [
    "12",
    "2.50",
    ".5",
    "1,234",
    "1e5",
    "e",
    "x",
    "x2",
    "3x",
    "a",
    "π",
    "pi",
    "√",
    "sqrt",
    "%",
    "°",
    "degrees",
    "(",
    ")",
    "-",
    "+",
    "*",
    "/",
    "^",
    "**",
    "=",
    "is",
    "equals",
    "times",
    "½",
    "²",
    "squared",
    "{",
    "\\frac{1}{2}",
    "cm",
    "m",
    "apples",
    "?",
]


@given(st.lists(st.tuples(st.sampled_from(_TOKENS), st.sampled_from(["", " "])), min_size=3, max_size=14))
def test_the_pieces_of_an_equation_that_was_found_are_in_normal_form_already(tokens: list[tuple[str, str]]) -> None:
    line = normalise("".join(token + gap for token, gap in tokens)).joined
    for run in SIDES.finditer(line):
        equation = run[0]
        if line[: run.start()].endswith(("^ ", "\u221a ")):
            continue  # "^ (1/2) * 12" is cut off there, and alone needs no brackets
        assert normalise(equation).joined == equation
        assert spellings(equation, equation.split()) == equation_forms(equation)
        assert holds(equation.split()) is is_true(equation)
        assert compile_pieces(equation, equation.split()) == compile_form(equation)


def test_what_the_rules_extract_from_the_bundled_world_is_what_its_published_numbers_were_trained_on() -> None:
    paths = []
    for number in range(150):
        item = make_item(np.random.default_rng([number, 7]), "train")
        leaping = replace(item, draft=replace(item.draft, steps=item.draft.leap))  # half of its records see the answer at once
        paths += [written_path(one, item.draft.answer) for one in (item, leaping)]
    found = extract_each(paths, 6)
    assert found == [extract_key_steps(parse(path), 6) for path in paths]
    assert hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16] == "0e6d2daebe2271ac"


def test_nothing_is_extracted_that_stands_in_a_form_of_what_was_extracted_before() -> None:
    path = parse(render("A board.", "Add.", ["5 + 7 = 12, so the sum is 12", "7 + 5 = 12 and 12 = 5 + 7", "0.5 = 1/2, or 1/2 = 0.5"], "12"))
    assert [forms[0] for forms in extract_key_steps(path, 6)] == ["5 + 7 = 12", "sum is 12", "0.5 = 1 / 2"]
