"""Key steps by rules: what is read at once and what is left unread says the same as every line of every step for itself."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from r1vl_core.data import extract, told
from r1vl_core.data.candidates import find, has_group, statements, telling
from r1vl_core.data.extract import extract_key_steps
from r1vl_core.reasoning.boundaries import View, is_part_of_more, stands_alone
from r1vl_core.reasoning.key_steps import compile_form, compile_key_steps, match
from r1vl_core.reasoning.normal_form import normalise
from r1vl_core.reasoning.paths import parse, render
from r1vl_core.reasoning.spellings import word_set


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("Now we add. 5 + 7 = 12. So both sides agree.", "5 + 7 = 12."),
        ("5 + 7 = 12. We keep it", "5 + 7 = 12."),
        ("Words alone. And more words.", ""),
        ("The shape is red. It isn't round. They equal each other", "The shape is red. It isn't round. They equal each other"),
        ("It is clear that both sides agree. The longest of all the sides here is red. We know what it is. 5", "5"),
        ("The side squared is of no use to us. 5", "The side squared is of no use to us. 5"),
        ("The sum of all of these is divided by two. 5", "The sum of all of these is divided by two. 5"),
        ("The sum of the two other sides is minus y. 5", "The sum of the two other sides is minus y. 5"),
    ],
)
def test_sentences_of_words_alone_are_left_out(line: str, kept: str) -> None:
    assert telling(line) == kept


@pytest.mark.parametrize("text", ["Then \\frac{1. And so on. 5", "Then \uff3e\uff5b1. And so on. 5"])
def test_a_group_that_is_left_open_is_seen(text: str) -> None:
    assert has_group(text)
    assert not has_group("Then 1. And so on. 5")


SENTENCES = (
    "So x is 5", "x^", "It equals 3", "isn't 4", "The radius", "2 + 3 = 5", "not", "It is false that", "3, 4, 5", "area is: 7 cm",
    "\u0391\u03a3", "**bold**", "<b>6</b>", "the shape is red", "AB is 4 m/s", "Now we see that, of course, all holds", "6 1/2",
    "divided by 3 it gives 2",
    "12 divided", "by 4", "\\( 3 \\times 4 = 12 \\)", "12 /", "It's wrong", "\u00bd of it", "5 + 6 = 11", "2^3 = 8", "{", "We note: ",
    "-", "9", "It is clear that both of the sides agree", "the long side of the shape here is red",
    "so the side squared is a thing of no use",
    "x squared", "is pi", "it is to be x", "what it is", "y is minus x plus the other side", "it is divided by four",
)  # fmt: skip


ENDS = [". ", ". ", "! ", ", ", " ", ".", ". . "]
STEPS = st.lists(st.tuples(st.sampled_from(SENTENCES), st.sampled_from(ENDS)), min_size=1, max_size=8).map(
    lambda parts: "Start. " + "".join(sentence + end for sentence, end in parts)
)


@given(st.lists(STEPS, min_size=1, max_size=4))
def test_words_alone_change_nothing(steps: list[str]) -> None:
    """The key steps are those of the whole lines, but for powers in words: none comes out of words alone, and none leans on them."""
    path = parse(render("d", "r", [step.replace("x squared", "x") for step in steps], "a"))
    found = extract_key_steps(path, 6)
    with pytest.MonkeyPatch.context() as whole:
        whole.setattr(told, "telling", lambda line: line)
        assert extract_key_steps(path, 6) == found


GROUPS = (
    "\\(\\frac{12}{3} = 4\\)", "\\[ x = \\sqrt{16} = 4 \\]", "\\frac{1}{2} \\times 8 = 4", "(3 \\times 4) / 2 = 6", "x^{2} + 1 = 5",
    "(-3, 4)", "- Area = 5 * 3 = 15", "| a | b |", "the fraction of it", "\\text{area} = 12", "$x = 5$", "\\boxed{12}", "2(3 + 4) = 14",
)  # fmt: skip
FRAGMENTS = (
    "\\frac", "\\dfrac", "\\frac{", "{3} = 1", "by 5}", "(see the figure", "here)", "equals", "to 5", "12 divided", "by 4",
    "the square root", "of 9 is 3", "x squared", "\\sqrt{9", "\\sqrt", "= 7", "3 + 4", "12 /", "without", "\\frac12 + 1 = 1.5",
    "it is divided",
)  # fmt: skip


def in_lines(sentences: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    """Steps of these sentences, many of them on lines of their own."""
    ends = st.sampled_from([*ENDS, "\n", "\n", ".\n", "\n\n", ":\n", ". \n"])
    step = st.lists(st.tuples(st.sampled_from(sentences), ends), min_size=1, max_size=8)
    return st.lists(step.map(lambda parts: "Start. " + "".join(map("".join, parts))), min_size=1, max_size=4)


# Each line for itself is read otherwise where an expression in words goes over its end, or a line is nothing but a power in words.
WHOLE = tuple(sentence for sentence in SENTENCES if not re.search("squared|divide|by 4|12 /|{", sentence))


@given(st.lists(STEPS, min_size=1, max_size=4) | in_lines((*WHOLE, *GROUPS)))
@example(["Start. It equals\n\nArea: 3\n- 9 is odd\nWe see that all holds\nx = 3"])
@example(["Start. \\frac. . $x = 5$"])
@example(["Start. 5 + 6 = 11.{\\frac{1}{2}}"])
def test_steps_read_at_once_say_what_the_lines_of_each_say(steps: list[str]) -> None:
    path = parse(render("d", "r", steps, "a"))
    found = extract_key_steps(path, 6)
    with pytest.MonkeyPatch.context() as apart:
        apart.setattr(extract, "tell", lambda texts: None)
        assert extract_key_steps(path, 6) == found


@settings(max_examples=300)
@given(in_lines((*SENTENCES, *GROUPS, *FRAGMENTS)))
@example(["Start. the square root\n2 + 3 = 5"])
@example(["Start. 12 divided\n\nby 4."])
@example(["Start. It is false that 3 + 4 = 7.\n3 + 4\nWe see that all holds\n= 7"])
@example(["Start. 2 + 3 = 5. \\frac", "Start. 3 * 4 = 12."])
@example(["* (1) "])
@example(["1) $-5 + 12 = 7$\n2) \\(-x = 5\\)\n(a) **-2 + 3 = 1**"])
@example(["50% & \n=1. 50%\nof it"])
def test_whatever_broken_markup_a_path_holds_it_says_its_key_steps(steps: list[str]) -> None:
    path = parse(render("d", "r", steps, "a"))
    assert None not in match(path, compile_key_steps(extract_key_steps(path, 6)))


@given(STEPS)
def test_what_is_said_to_stand_in_a_line_stands_there_in_normal_form(text: str) -> None:
    line = normalise(text).joined
    equations, others = find(line)
    for candidate in (*equations, *(statement for place, clause in others for statement in statements(clause, place))):
        if candidate.needle:
            compiled = compile_form(candidate.first)
            assert compiled is not None
            assert compiled.needle == candidate.needle
            assert f" {line} ".startswith(candidate.needle, candidate.place)


WORDS_AROUND = st.sampled_from(
    sorted(
        word_set(
            "so the a that not no never is twenty seven million hundred and even be really longer per m/s cm x 5 5.5"
            " { = != - + * / ^ ( ) . , : ; ! ? % \u00b0 \u03c0 \u221a"
        )
    )
)
AROUND = st.lists(st.tuples(WORDS_AROUND, st.sampled_from(["", " "])), max_size=6).map(lambda parts: "".join(map("".join, parts)))


@given(AROUND, st.sampled_from(["3 + 7 = 10", "6", "x = 5", "- 5", "1 / 2", "14 m", "red = 4", "( 5 )"]), AROUND)
def test_what_surely_stands_alone_is_part_of_no_more(before: str, said: str, behind: str) -> None:
    text = before + said + behind
    step, form = normalise(text), compile_form(said)
    assert form is not None
    if "" in step.pieces or " ".join(step.pieces).count(" ") + 1 != len(step.pieces):
        return
    for first in range(len(step.pieces)):
        last = first + form.needle.count(" ") - 2
        if f" {' '.join(step.pieces[first : last + 1])} " == form.needle and stands_alone(step, first, last):
            assert not is_part_of_more(form, View(step, step.part_ends()), first, last)
