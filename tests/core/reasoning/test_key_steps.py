"""Matching: laws that hold for every text, and what is refused when forms are built."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1vl_core.reasoning.key_steps import compile_key_steps, match
from r1vl_core.reasoning.normal_form import normalise
from r1vl_core.reasoning.paths import parse, render

FORMS = st.sampled_from(
    [
        "6",
        "12/2 = 6",
        "3 + 7 = 10",
        "x = 6",
        "1,234",
        "60°",
        "largest digit is 9",
        "red is 4",
        "\\frac{6}{3} = 2",
        "-6",
        "25%",
        "(3 * 4)/2 = 6",
        "\\frac{3 \\times 4}{2} = 6",
        "√3/2",
    ]
)
SENTENCES = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).map(lambda text: text.replace("#", ""))
FRAGMENTS = ("\\frac", "'", "\\frac{", "}", "{", "^", "6", " ", "-", "½", "x", "not", "=", "\\", ",", ".", "**", "\n", "n't", "cm")
WILD = st.one_of(st.text(), st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join))
AROUND = ("{}", "**{}**", "${}$", "\\( {} \\)", "\\boxed{{{}}}", "({})", "So {}.", "{}!", '"{}"', "- {}", "* {}", "`{}`")


def matched(form: str, steps: str) -> bool:
    return match(parse(steps), compile_key_steps([[form]]))[0] is not None


@given(WILD, FORMS)
def test_any_text_can_be_searched(text: str, form: str) -> None:
    path = parse("### Step 1:" + text)
    found = match(path, compile_key_steps([[form]]))[0]
    if found is not None:
        assert path.steps[0].start <= found.start < found.end <= path.steps[-1].end


@given(WILD)
def test_normal_forms_keep_every_offset(text: str) -> None:
    normal = normalise(text)
    assert len(normal.text) == len(text)
    assert "".join(normal.parts) == normal.text
    assert len(normal.pieces) == len(normal.parts) // 2
    assert (normal.piece_ends() or [0])[-1] == len(f"{normal.joined} ") * bool(normal.joined)


@given(FORMS, SENTENCES, SENTENCES)
def test_a_line_added_to_a_step_never_loses_a_match(form: str, before: str, after: str) -> None:
    assert matched(form, f"### Step 1:\n{before}\n{form}\n{after}")


@given(FORMS, st.sampled_from([" ", "  ", "\t", "\n", " \n "]))
def test_blanks_do_not_matter(form: str, blank: str) -> None:
    assert matched(form, f"### Step 1: {form.replace(' ', blank)}.")


@given(FORMS, st.sampled_from(AROUND))
def test_case_markup_and_final_punctuation_do_not_matter(form: str, around: str) -> None:
    assert matched(form, "### Step 1: " + around.format(form))
    assert matched(form.upper().replace("FRAC", "frac").replace("TIMES", "times"), "### Step 1: " + around.format(form))


WORDS = st.lists(st.sampled_from(["so", "the", "sum", "red", "row", "we", "see", "apples", "digit"]), max_size=8).map(" ".join)
DRESSES = (
    *(str.upper, str.title, lambda text: text.replace(" ", "  "), lambda text: text.replace(" ", "\u00a0"), lambda text: f"${text}$"),
    *(lambda text: text.replace("=", "&="), lambda text: f"\\mathbf{{{text}}}", lambda text: f"<b>{text}</b>", lambda text: f"__{text}__"),
)
PLAIN_FORMS = st.sampled_from(
    ["6", "12/2 = 6", "3 + 7 = 10", "x = 6", "1,234", "60°", "largest digit is 9", "red is 4", "-6", "25%", "not red"]
)


@given(PLAIN_FORMS, st.lists(st.sampled_from(DRESSES), max_size=4), WORDS, WORDS)
def test_case_blanks_and_markup_do_not_matter_in_any_combination(form: str, dresses: list[Any], before: str, after: str) -> None:
    text = form
    for dress in dresses:
        text = dress(text)
    assert matched(form, f"### Step 1: {before}: {text}. {after}")


@given(WILD, FORMS, WORDS)
def test_a_sentence_added_to_a_step_never_loses_a_match(text: str, form: str, sentence: str) -> None:
    path = "### Step 1: " + text.replace("#", "")
    if matched(form, path):
        assert matched(form, f"{path}\n{sentence}. {sentence}.")
        assert matched(form, f"### Step 1: {sentence}.\n" + path.removeprefix("### Step 1: "))
        assert matched(form, f"{path}\n### Step 2: {text}")


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_number_stands_in_a_number_only_if_it_is_equal(number: int, other: int) -> None:
    for text in (f"{other}", f"{other:,}", f"so {other} cells", f"${other}$", f"\\frac{{{other}}}{{x}}", f"{other}.0"):
        assert matched(str(number), f"### Step 1: {text}") == (number == other), text


@given(st.lists(st.tuples(FORMS, WILD), min_size=1, max_size=4))
def test_each_key_step_counts_once(parts: list[tuple[str, str]]) -> None:
    path = parse("\n".join(f"### Step {number}: {form} {text}" for number, (form, text) in enumerate(parts, 1)))
    compiled = compile_key_steps([[form, form.upper()] for form, _ in parts])
    found = match(path, compiled)
    assert [one.index for one in found if one] == [index for index, one in enumerate(found) if one]
    assert len(found) == len(parts)


def test_the_span_and_the_form_that_matched_come_back() -> None:
    path = parse(render("d", "r", ["nothing here", "so \\frac{12}{2} = 6 holds"], "6"))
    found = match(path, compile_key_steps([["6 equals 12/2", "12/2 = 6"], ["99"]]))
    assert found[1] is None
    assert found[0] is not None
    assert (found[0].index, found[0].form) == (0, "12/2 = 6")
    assert path.text[found[0].start : found[0].end] == "\\frac{12}{2} = 6"


@pytest.mark.parametrize(
    ("form", "text", "marked"),
    [
        ("45°", "so 45^{\\circ} here", "45^{\\circ}"),
        ("14 cm", "the 14 \\text{ cm} side", "14 \\text{ cm}"),
        ("6", "as \\frac{6}{7} says", "6"),
        ("7", "as \\frac{6}{7} says", "7"),
        ("1/2", "so \\frac12.", "\\frac12"),
        ("1/2", "so \\frac{1}2.", "\\frac{1}2"),
        ("(x + 1)/2", "is \\frac{x+1}{2}.", "\\frac{x+1}{2}"),
        ("12/2 = 6", "\\boxed{\\frac{12}{2} = \\mathbf{6}} it is", "\\frac{12}{2} = \\mathbf{6}"),
        ("H2O", "is H_{2}O.", "H_{2}O"),
    ],
)
def test_a_span_cuts_no_group_in_two_and_takes_in_no_more_than_it_must(form: str, text: str, marked: str) -> None:
    found = match(parse(f"### Step 1: {text}"), compile_key_steps([[form]]))[0]
    assert found is not None
    assert f"### Step 1: {text}"[found.start : found.end] == marked


@pytest.mark.parametrize("text", ["area is 6\\frac' =", "0.5 \\frac ' x_1 = 2", "1/2 \\frac '"])
def test_a_fraction_of_a_mark_that_says_nothing_raises_nothing(text: str) -> None:
    assert match(parse(f"### Step 1: {text}"), compile_key_steps([["99"], ["6"], ["0.5"], ["1/2"]]))[0] is None


def test_each_key_step_counts_once_wherever_it_stands() -> None:
    path = parse("### Step 1: 3 + 7 = 10 and 3 + 7 = 10\n### Step 2: 7 + 3 = 10")
    assert len(match(path, compile_key_steps([["3 + 7 = 10", "7 + 3 = 10"]]))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "### Image Description: 3 + 7 = 10\n### Rationales: 3 + 7 = 10\n### Step 1: nothing\n### The final answer is: 3 + 7 = 10",
        "### Step 1: 3 + 7\n### Step 2: = 10",
        "3 + 7 = 10",
    ],
)
def test_only_the_text_of_one_step_counts(text: str) -> None:
    assert not matched("3 + 7 = 10", text)


@pytest.mark.parametrize("forms", [[""], ["  "], ["."], ["6", ""], ["$$"], ["**"], ["="], []])
def test_an_empty_form_is_refused(forms: list[str]) -> None:
    with pytest.raises(ValueError, match="key step 1"):
        compile_key_steps([["6"], forms])


def test_a_bare_string_is_no_list_of_forms() -> None:
    with pytest.raises(ValueError, match="list of one or more forms"):
        compile_key_steps(["12/2 = 6"])


def test_no_key_steps_match_nothing() -> None:
    assert match(parse("### Step 1: 6"), compile_key_steps([])) == ()
