"""The parts that benchmarks share: arithmetic without execution, LaTeX of 2024, spreadsheets, prompts, the average."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1vl_core.evaluation.benchmarks import arithmetic, latex_2024
from r1vl_core.evaluation.benchmarks.average import COLUMNS, Average, average
from r1vl_core.evaluation.benchmarks.final_answer import final_answer, yes_no_answer
from r1vl_core.evaluation.benchmarks.latex_2024 import NoValueError, python_expression
from r1vl_core.evaluation.benchmarks.spreadsheet import as_read, as_written
from r1vl_core.evaluation.benchmarks.wording import instructed, with_choices, with_options, with_yes_no_choices


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "-2",
        "1_000",
        "0x1f",
        "1e3",
        "1j*1j",
        "7 // 2",
        "7 % 4",
        "2**-1",
        "2^3",
        "5 > 2",
        "1 < 2 < 3",
        "not 0",
        "0 or 7",
        "1 and 0",
        "7 if 1 else 2",
        "[7, 8][0]",
        "(7, 8)[-1]",
        "len((1, 2))",
        "max(3, 7)",
        "abs(-7)",
        "round(7.4)",
        "int(7.9)",
        "1 << 3",
        "7 | 8",
        "~7",
        "sum([3, 4])",
        "True + 6",
        "pow(2, 3)",
        "7 # seven",
        "(((7)))",
        "3-5",
        "7.",
        ".5",
        "00",
        "float(7)",
    ],
)
def test_arithmetic_is_what_python_makes_of_it(text: str) -> None:
    expected = eval(text)
    assert arithmetic.value(text) == expected
    assert type(arithmetic.value(text)) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "a.b",
        "f(1)",
        "print(1)",
        "__import__('os')",
        "(lambda: 1)()",
        "[x for x in (1,)]",
        "'7'",
        "1/0",
        "2**99999",
        "9**9**9",
        "int('7')+'a'",
        "{7}",
        "1 in (1,)",
        "x := 1",
        "f'{1}'",
        "()[0]",
        "[0]*9",
        "(" * 300,
        "1 +",
        "07",
        "1" * 5000,
        "1<<99999",
        "max()",
        "round(7, -999999999)",
        "int(x=1)",
        "pow(2, 3, 5)",
        "'a' if 1 else 2",
        "-'a'",
        "...",
        "await x",
        "1; 2",
        "1\n2",
        "int(1e999)",
        "abs((1,))",
    ],
)
def test_all_else_has_no_value(text: str) -> None:
    with pytest.raises(arithmetic.NotArithmeticError):
        arithmetic.value(text)


@given(st.text(alphabet="0123456789+-*/%^()[]., abeijx<>=&|~'\"", max_size=60))
def test_arithmetic_is_total(text: str) -> None:
    try:
        arithmetic.value(text, {"a": 7})
    except arithmetic.NotArithmeticError:
        return


@pytest.mark.parametrize(
    ("latex", "value"),
    [
        ("7", 7),
        ("7.", 7),
        ("7)", 7),
        ("7 \\\\ 8", 7),
        ("7_{10}", 7),
        ("7 & 8", 7),
        ("1,000", 1000),
        ("1 000", 0),
        ("2 3", 6),
        ("2(3)", 6),
        ("2\\frac{1}{2}", 1),
        ("\\dfrac{3}{4}", 0.75),
        ("$\\left(\\frac{1}{2}\\right)^2$", 0.25),
        ("2^3^2", 64),
        ("2^{3^2}", 512),
        ("-2^2", -4),
        ("8^{1/3}", 2),
        ("\\sqrt[3]{8}", 2),
        ("6 \\div 2 \\times 3", 9),
        ("3:4", 0.75),
        ("50\\%", 0.5),
        ("x = 7", 7),
        ("x_1 = y = 7", 7),
        ("\\text{Area} = 7", 7),
        ("\\overline{AB} = 7.", 7),
        ("\\binom{5}{2}", 10),
        ("{5 \\choose 2}", 10),
        ("\\gcd(4, 6)", 2),
        ("\\binom{2^{10}}{2}", 523_776),
        ("\\binom{\\frac{1}{2}}{2}", -1 / 8),
        ("\\binom{-3}{2}", 6),
        ("\\binom{7}{1}", 7),
        ("\\binom{5}{-1}", 0),
        ("\\binom{x}{0}", 1),
        ("7. " + "And so on and on. " * 400, 7),
        ("7 \\\\ (n)_{k} of them", 7),
        ("5 < 3", False),
        ("e^0", 1),
        ("--3", 3),
    ],
)
def test_latex_of_2024(latex: str, value: float) -> None:
    assert arithmetic.value(python_expression(latex)) == pytest.approx(value)


@pytest.mark.parametrize(
    "latex",
    [
        "",
        "7°",
        "60^\\circ",
        "\\boxed{7}",
        "\\(7\\)",
        "50%",
        "7 cm",
        "\\pi",
        "\\sqrt{4}",
        "4^{0.5}",
        "7!",
        "|7|",
        "\\log_2 8",
        "7,",
        "1, 2",
        "7 +",
        "2x = 14",
        "7 = 7",
        "f(x) = 7",
        "AB = 7",
        "2^-1",
        "\\frac12",
        "(7",
        "x",
        "e",
        "\\sin 0",
        "\\infty",
        "7 \\pm 1",
        "七",
        "\\unknown{7}",
        "\\binom{x}{2}",
        "\\binom{10^{4000}}{9}",
        "\\gcd(10^{5000}, 0)",
        "(7)_{2}",
        "a'",
        "seven of them " * 400,
        "\ud800",
        "(" * 500,
        "{" * 500 + "7" + "}" * 500,
    ],
)
def test_what_has_no_value_in_2024(latex: str) -> None:
    with pytest.raises((NoValueError, arithmetic.NotArithmeticError)):
        arithmetic.value(python_expression(latex))


@given(st.text(alphabet="0123456789+-*/^(){}[]\\,.:;=<>|_'!&$ abdex%", max_size=40) | st.text(max_size=30))
def test_latex_of_2024_is_total(latex: str) -> None:
    try:
        assert len(latex_2024.python_expression(latex)) < 100 * (len(latex) + 1)
    except NoValueError:
        return


def test_a_column_of_numbers_becomes_numbers_unless_one_cell_is_a_text() -> None:
    assert as_read(["007", "3"]) == [7, 3]
    assert as_read(["007", "1e3"]) == [7.0, 1000.0]
    assert as_read(["7", "seven"]) == ["7", "seven"]
    assert as_read(["1_000", "3"]) == ["1_000", "3"]
    assert as_read(["true", "FALSE"]) == [True, False]
    with_missing = as_read(["7", "None"])
    assert with_missing[0] == 7.0
    assert isinstance(with_missing[1], float)
    assert math.isnan(with_missing[1])


def test_what_a_spreadsheet_does_to_a_text() -> None:
    assert as_written("=B", "paper") == 0
    assert as_written("=B", "current") == "=B"
    assert as_written("B\rC", "paper") == "B_x000D_C"
    assert len(str(as_written("x" * 40_000, "paper"))) == 32_767
    assert as_written("https://" + "x" * 2_100, "current") == ""
    assert as_written("internal:7", "current") == "7"


def test_the_answer_is_what_follows_the_only_marker() -> None:
    assert final_answer("a The final answer is:  7 \n") == "7"
    assert final_answer("a the final answer is: 7 ") == "a the final answer is: 7 "
    assert final_answer("The final answer is: 7. The final answer is: 8") == "The final answer is: 7. The final answer is: 8"
    assert [yes_no_answer(f"The final answer is: {text}") for text in ("B: No", "No", "The answer is B", "no Bar")] == [
        "No",
        "No",
        "Yes",
        "Yes",
    ]
    assert yes_no_answer("a bar") == "a bar"


def test_prompts() -> None:
    row = {"question": "Which?", "hint": "Look.", "A": "3", "B": "NA", "C": "5"}
    assert (
        with_choices(row) == "Hint: Look.\nQuestion: Which?\nChoices:\nA: 3\nC: 5\nPlease select the correct answer from the choices above."
    )
    assert with_options(row).startswith(
        "Hint: Look.\nQuestion: Which?\nOptions:\nA. 3\nC. 5\nPlease select the correct answer from the options above."
    )
    assert with_yes_no_choices({"question": "So? Please answer yes or no."}) == "So? Choices:\nA: Yes\nB: No"
    assert with_yes_no_choices({"question": "So?"}) == "So?\nChoices:\nA: Yes\nB: No"
    assert instructed("Hint: x\nQuestion: y").count("Question: ") == 1
    assert instructed("y").endswith("\n\nQuestion: y")


def test_the_average_is_cut_and_not_rounded() -> None:
    r1_vl_7b = dict(zip(COLUMNS, (63.5, 60.0, 24.7, 83.9, 45.2, 54.7, 40.0, 2376.0), strict=True))
    found = average(r1_vl_7b)
    assert found is not None
    assert found.exact == pytest.approx(57.1071, abs=5e-5)
    assert found.cut == 57.1
    assert [Average(exact).cut for exact in (51.4991, 45.8679, 41.2)] == [51.4, 45.8, 41.2]
    assert average({"mme": 2376.0}) is None
