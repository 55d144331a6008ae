"""Answers: total for any text, symmetric where it must be, never a long wait. The cases are in golden/answers.toml."""

from __future__ import annotations

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


def test_no_answer_section_is_absent() -> None:
    assert is_correct(None, "45", FREE) == Verdict("absent", "empty")


@pytest.mark.parametrize("answer", MONSTERS, ids=lambda answer: f"{answer[:6]} and so on")
@pytest.mark.parametrize("gold", ["45", "C", "red"])
def test_monsters_are_never_right(answer: str, gold: str) -> None:
    assert is_correct(answer, gold, FREE).verdict in ("wrong", "absent")


def test_a_number_longer_than_python_reads_is_compared_as_it_is_written() -> None:
    assert is_correct("7" * 5000, "7" * 5000, FREE).verdict == "correct"
    assert is_correct("7" * 5001, "7" * 5000, FREE).verdict == "wrong"
