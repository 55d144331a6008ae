"""Plain paths: whatever is taken as one, the parser finds valid, not reflective, and made of the same parts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1vl_core.reasoning.paths import parse, reflection_marks, render
from r1vl_core.reasoning.plain_paths import PlainPath, read_plain

PLAIN = render("A board with 5 and 7.", "Add them.", ["The digits are 5 and 7.", "5 + 7 = 12"], "12")
HEADERS = (
    "### Image Description:",
    "### Rationales:",
    "### Let's think step by step.",
    "### Step 1:",
    "### Step 2:",
    "### The final answer is:",
)
PIECES = (
    *HEADERS, "### Let's think step by step:", "### Step 3:", "### Step 02:", "### step 1:",
    "\n", "\n\n", "\r", "\r\n", " ", "\u00a0", "**", "*", "_", "`", "#", "###", "####", "\ufeff", ":", "\u2028",
    "a board", "5 + 7 = 12", "12", "é", "-", "$", "I think I have made a mistake.", "Let me re-think it",
)  # fmt: skip


def check(text: str) -> None:
    """What is taken as plain is what the parser says."""
    plain = read_plain(text)
    if plain is None:
        return
    path = parse(text)
    assert path.description is not None
    assert path.rationale is not None
    assert path.answer is not None
    assert not path.defects
    assert not reflection_marks(path)
    assert plain == PlainPath(path.description.text, path.rationale.text, path.answer.text)


def test_the_usual_path_is_plain() -> None:
    assert read_plain(PLAIN) == PlainPath("A board with 5 and 7.", "Add them.", "12")
    assert read_plain(PLAIN + "\n") is not None
    check(PLAIN)


@pytest.mark.parametrize("text", ["", "12", PLAIN + "\nLet me rethink it.", PLAIN.replace("Step 2", "Step 3"), PLAIN + PLAIN, PLAIN[:-2]])
def test_others_are_left_to_the_parser(text: str) -> None:
    assert read_plain(text) is None


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_a_changed_path_is_plain_only_if_it_is_valid(data: st.DataObject) -> None:
    text = PLAIN
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.sampled_from(PIECES)) + text[at + data.draw(st.integers(0, 3)) :]
    check(text)


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=24))
def test_any_text_is_plain_only_if_it_is_valid(pieces: list[str]) -> None:
    check("".join(pieces))
    check("\n".join(header + piece for header, piece in zip(HEADERS, [*pieces, *["12"] * 6], strict=False)))
