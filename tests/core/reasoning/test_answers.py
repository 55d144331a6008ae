"""Answers: total for any text, symmetric where it must be, never a long wait. The cases are in golden/answers.toml."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1vl_core.reasoning.answers import Verdict, is_correct

FREE = SimpleNamespace(choices=())
CHOICES = SimpleNamespace(choices=(("A", "12"), ("B", "45"), ("C", "57"), ("D", "a dog")))
FRAGMENTS = (
    "A",
    "B",
    "C",
    "or",
    "not",
    "45",
    "(",
    ")",
    "{",
    "}",
    ",",
    ".",
    ":",
    "%",
    "cm",
    "answer is",
    "$",
    "\\text{",
    "-",
    "e9",
    "\n",
    "½",
)
WILD = st.lists(st.sampled_from(FRAGMENTS), max_size=12)
MONSTERS = (
    *("4" * 100_000, "45 " * 30_000, "(" * 100_000, "\\frac{" * 20_000, "C " * 50_000),
    *("1e" + "9" * 500, "10^" + "9" * 900, "-" * 999, "(" * 999),
)


@given(st.one_of(st.text(), WILD.map(" ".join), WILD.map("".join)), st.sampled_from(["B", "B: 45", "45", "a dog", "A, C"]))
def test_any_text_has_a_verdict_on_a_choice(answer: str, gold: str) -> None:
    assert is_correct(answer, gold, CHOICES).verdict in ("correct", "wrong", "absent")


@given(st.one_of(st.text(), WILD.map(" ".join)), st.sampled_from(["red", "Yes", "a phrase of words"]))
def test_any_text_has_a_verdict_on_words(answer: str, gold: str) -> None:
    assert is_correct(answer, gold, FREE).verdict in ("correct", "wrong", "absent")


@given(st.text())
def test_any_gold_answer_can_be_read_and_equals_itself(gold: str) -> None:
    assert is_correct(gold, gold, FREE).verdict in ("correct", "absent")
    assert is_correct("C", gold, CHOICES).verdict in ("correct", "wrong")


@given(st.integers(-(10**12), 10**12))
def test_integers_in_every_spelling(number: int) -> None:
    plain = (f"{number}", f"{number:,}", f"{number}.0", f"${number}$", f"x = {number}", f"The answer is {number}.", f"{number * 2}/2")
    for spelling in plain:
        assert is_correct(spelling, str(number), FREE).verdict == "correct", spelling
        assert is_correct(spelling, str(number + 1), FREE).verdict == "wrong", spelling


@given(st.integers(1, 999), st.integers(1, 999))
def test_fractions_equal_their_multiples_only(top: int, bottom: int) -> None:
    assert is_correct(f"{3 * top}/{3 * bottom}", f"\\frac{{{top}}}{{{bottom}}}", FREE).verdict == "correct"
    assert is_correct(f"{top + 1}/{bottom}", f"{top}/{bottom}", FREE).verdict == "wrong"


DRESSES = (
    *("{}", " {} ", "{}.", "**{}**", "${}$", "\\( {} \\)", "\\boxed{{{}}}", "$\\boxed{{{}}}$", '"{}"', "The answer is {}", "Answer: {}."),
    *("The final answer is: {}.", "So the answer is **{}**.", "\\text{{{}}}", "`{}`", "<answer>{}</answer>", "\n{}\n", "{}\u200b"),
)
GOLDS = st.sampled_from(
    ["45", "-3", "1/2", "14 cm", "(2, 3)", "25%", "red", "Yes", "C", "3-5", "1,234.5", "x = 7", "2\\sqrt{2}", "3 and 7"]
)


VALUES = st.sampled_from(["45", "-3", "1/2", "14 cm", "25%", "1,234.5", "x = 7", "2\\sqrt{2}"])


@given(GOLDS, GOLDS, st.lists(st.sampled_from(DRESSES), max_size=3))
def test_what_stands_around_an_answer_does_not_change_its_verdict(answer: str, gold: str, dresses: list[str]) -> None:
    dressed = answer
    for dress in dresses:
        dressed = dress.format(dressed)
    assert is_correct(dressed, gold, FREE).verdict == is_correct(answer, gold, FREE).verdict == ("correct" if answer == gold else "wrong")


@given(VALUES, VALUES, st.sampled_from([" or ", " or maybe ", "? ", " / ", "\n", "; ", " "]))
def test_two_different_answers_are_no_answer(one: str, other: str, between: str) -> None:
    for gold in (one, other):
        assert one == other or is_correct(f"{one}{between}{other}", gold, FREE).verdict == "wrong"


@given(st.fractions(-(10**6), 10**6, max_denominator=1000))
def test_fractions_in_every_spelling(number: Fraction) -> None:
    top, bottom = abs(number.numerator), number.denominator
    sign, gold = "-" * (number < 0), f"{number.numerator}/{bottom}"
    for spelling in (
        f"{top}/{bottom}",
        f"\\frac{{{top}}}{{{bottom}}}",
        f"\\dfrac{{{2 * top}}}{{{2 * bottom}}}",
        f"{top // bottom} {top % bottom}/{bottom}",
    ):
        if spelling[0] != "0" or number == 0 or "/" in spelling.split(" ")[0]:
            assert is_correct(sign + spelling, gold, FREE).verdict == "correct", spelling
            assert is_correct(sign + spelling, f"{number.numerator + 1}/{bottom}", FREE).verdict == "wrong", spelling


@given(st.integers(0, 999_999), st.sampled_from(["mm", "cm", "m", "km"]), st.sampled_from(["mm", "cm", "m", "km"]))
def test_lengths_are_equal_when_they_are_as_long(number: int, unit: str, other: str) -> None:
    millimetres = {"mm": 1, "cm": 10, "m": 1000, "km": 10**6}
    same = number * millimetres[unit] == number * millimetres[other]
    assert (is_correct(f"{number} {unit}", f"{number} {other}", FREE).verdict == "correct") == same
    assert is_correct(f"{number * millimetres[unit]} mm", f"{number} {unit}", FREE).verdict == "correct"


@given(
    st.sampled_from("ABCD"),
    st.sampled_from("ABCD"),
    st.sampled_from(["{}", "({})", "{}.", "option {}", "{}: {}", "The answer is {}.", "{}) {}"]),
)
def test_letters_in_every_spelling(letter: str, gold: str, spelling: str) -> None:
    text = dict(CHOICES.choices)[letter]
    other = dict(CHOICES.choices)["A" if letter != "A" else "B"]
    assert is_correct(spelling.format(letter, text), gold, CHOICES).verdict == ("correct" if letter == gold else "wrong")
    assert is_correct(f"{letter}: {other}", gold, CHOICES).verdict == "wrong"


def test_no_answer_section_is_absent() -> None:
    assert is_correct(None, "45", FREE) == Verdict("absent", "empty")


@pytest.mark.parametrize("answer", MONSTERS, ids=lambda answer: f"{answer[:6]} and so on")
@pytest.mark.parametrize("gold", ["45", "C", "red"])
def test_monsters_are_never_right(answer: str, gold: str) -> None:
    assert is_correct(answer, gold, FREE).verdict in ("wrong", "absent")


def test_a_number_longer_than_python_reads_is_compared_as_it_is_written() -> None:
    assert is_correct("7" * 5000, "7" * 5000, FREE).verdict == "correct"
    assert is_correct("7" * 5001, "7" * 5000, FREE).verdict == "wrong"
