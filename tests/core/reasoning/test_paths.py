"""The grammar: what is rendered comes back, spans are true, nothing raises."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1vl_core.reasoning.paths import is_blank, parse, reflection_marks, render, says_rethought
from r1vl_core.reasoning.rewards import step_rvr

HEADERS = tuple(
    f"### {name}"
    for name in ("Image Description:", "Rationales:", "Let's think step by step.", "Step 1:", "Step 2:", "The final answer is:")
)
CHARACTERS = st.characters(exclude_categories=["Cs"])
PARTS = st.text(CHARACTERS, min_size=1).map(str.strip).filter(lambda text: not is_blank(text) and "###" not in text)
PIECES = st.lists(st.one_of(st.sampled_from(HEADERS), st.text(max_size=12), st.just("\n"), st.just("**")), max_size=24)


@given(PARTS, PARTS, st.lists(PARTS, min_size=1, max_size=12), PARTS)
def test_parse_gives_back_what_render_wrote(description: str, rationale: str, steps: list[str], answer: str) -> None:
    path = parse(render(description, rationale, steps, answer))
    assert path.is_valid
    assert path.description is not None
    assert path.rationale is not None
    assert path.answer is not None
    assert (path.description.text, path.rationale.text, path.answer.text) == (description, rationale, answer)
    assert [step.text for step in path.steps] == steps
    assert [step.number for step in path.steps] == list(range(1, len(steps) + 1))


@given(st.one_of(st.text(), PIECES.map("".join), PIECES.map("\n".join)))
def test_any_text_parses_and_spans_are_true(text: str) -> None:
    path = parse(text)
    for section in (path.description, path.rationale, *path.steps, path.answer):
        if section is not None:
            assert text[section.start : section.end] == section.text == section.text.strip()
    assert path.is_valid == (not path.defects)
    reflection_marks(parse(text))


@given(st.lists(PARTS, min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_no_order_of_the_sections_is_better_than_the_right_one(steps: list[str], rng: random.Random) -> None:
    sections = [f"### Image Description:\n{steps[0]}", f"### Rationales:\n{steps[0]}"]
    sections += [f"### Step {number}:\n{step}" for number, step in enumerate(steps, 1)]
    sections.append(f"### The final answer is:\n{steps[0]}")
    shuffled = rng.sample(sections, len(sections))
    assert step_rvr(parse("\n".join(sections))) == 1.0
    assert step_rvr(parse("\n".join(shuffled))) == float(shuffled == sections)


@given(st.lists(st.sampled_from(HEADERS), max_size=9), st.lists(st.sampled_from(["", " ", "\n", ".", "s"]), min_size=9, max_size=9))
def test_a_path_is_valid_exactly_when_it_is_complete_and_ordered(headers: list[str], texts: list[str]) -> None:
    """Equation 3, said a second time: the kinds of the sections in the order written, none of them empty."""
    kinds = [header.removeprefix("### ") for header in headers if not header.startswith("### Let")]
    num_steps = sum(kind.startswith("Step") for kind in kinds)
    wanted = ["Image Description:", "Rationales:", *(f"Step {number}:" for number in range(1, num_steps + 1)), "The final answer is:"]
    place = [index for index, header in enumerate(headers) if header.startswith("### Let")]
    full = all("s" in text for header, text in zip(headers, texts, strict=False) if not header.startswith("### Let"))
    expected = kinds == wanted and num_steps > 0 and full and place in ([], [2])
    path = parse("\n".join(f"{header}{text}" for header, text in zip(headers, texts, strict=False)))
    assert path.is_valid == expected


@given(PARTS, PARTS, st.lists(PARTS, min_size=1, max_size=4), PARTS, st.sampled_from(["\n", "\r\n", "\n\n", " \n"]))
def test_line_ends_and_markers_do_not_matter(description: str, rationale: str, steps: list[str], answer: str, end: str) -> None:
    texts = (description, rationale, *steps, answer)
    names = ("Image Description", "Rationales", *(f"Step {number}" for number in range(1, len(steps) + 1)), "The final answer is")
    for header in ("### {}:", "### **{}:**", "**### {}**\uff1a", "###{} :", "### *{}*:"):
        path = parse(end.join(f"{header.format(name)}{end}{text}" for name, text in zip(names, texts, strict=True)))
        sections = (path.description, path.rationale, *path.steps, path.answer)
        assert path.is_valid
        assert [section.text for section in sections if section] == list(texts)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (("", "r", ["s"], "a"), "empty_description"),
        (("d", "r", [], "a"), "missing_steps"),
        (("d", "r", ["s"], " . "), "empty_answer"),
        (("d", "r", ["s\n### Step 1: t"], "a"), "repeated_step"),
        (("d\n### Let's think step by step.", "r", ["s"], "a"), "repeated_lead_in"),
    ],
)
def test_parts_that_would_not_come_back_are_refused(parts: tuple[str, str, list[str], str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        render(*parts)


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        (render("d", "r", ["s", "t"], "a"), ()),
        ("### Step 1: s\nI think I have made a mistake. Let me rethink it.\n### Step 2: t", ("rethink_sentence",)),
        ("### Step 1: s\nI THINK  I have\nmade a mistake.Let me rethink it", ("rethink_sentence",)),
        ("### Rationales: r\n### Rationales: q\n### Step 1: s", ("repeated_header",)),
        ("### Step 1: s\n### Step 1: t\n### Step 2: u", ("repeated_header", "step_numbers")),
        ("### Step 1: s\n### Step 3: t", ("step_numbers",)),
        ("### Step 2: s\n### Step 1: t", ("step_numbers",)),
        ("no header at all", ()),
    ],
)
def test_reflection_marks(text: str, marks: tuple[str, ...]) -> None:
    assert reflection_marks(parse(text)) == marks


# Letters that casefold to a "k", an "i", an "st" or an "h" with a mark are those letters too; between letters may stand anything else.
SAID = ("I think", "I have", "made", "a mistake", "let me", "re-think", "RETHINK", "it", "thin\u212a", "\u0130", "ha", "ve", "mi\ufb06ake",
        "\u1e96ave", "k", "i", "h", "t", " ", "\n", "1", ".", "\u00e9", "\u0307", "\u00df")  # fmt: skip


@given(st.lists(st.sampled_from(SAID), max_size=14), st.lists(st.sampled_from(["", " ", "-", "\u0307", "\u00e9", "7"]), min_size=14))
def test_rethinking_is_told_by_letters_alone(said: list[str], between: list[str]) -> None:
    for text in ("".join(map("".join, zip(said, between, strict=False))), f"Let me{between[0]}rethin\u212a{between[1]}\u0130t".join(said)):
        letters = "".join(filter(str.isalpha, text.casefold()))
        assert says_rethought(text) == ("ithinkihavemadeamistake" in letters or "letmerethinkit" in letters)


def test_the_last_of_two_answers_counts_and_a_header_in_a_sentence_does_not() -> None:
    path = parse("### The final answer is: 3\n### The final answer is:\n4, not ### The final answer is: 5")
    assert path.answer is not None
    assert path.answer.text == "4, not ### The final answer is: 5"
