"""Whatever a record says: its reference path reaches all of its own key steps, and they go out and come back the same to the byte."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import assume, example, given
from hypothesis import strategies as st

from r1vl_core.data.extract import extract_key_steps
from r1vl_core.data.given import export_key_steps, read_given, standing
from r1vl_core.data.laid_over import lay_over
from r1vl_core.data.text_checks import Candidate, TextChecks, judge_record
from r1vl_core.reasoning.key_steps import compile_form, compile_key_steps, match
from r1vl_core.reasoning.paths import parse, render
from r1vl_core.records import Question, RawRecord
from tests.core.data.samples import question

SAID = st.sampled_from(
    [
        "We add them.", "So x = {a}/{b}.", "The radius is {a} cm", "\\( {a} \\times {b} = {c} \\)", "$\\frac{{{a}}}{{{b}}}$ of it",
        "{a}% of {b}", "ANGLE ABC IS {a}°", "∠ABC = {a}°", "{a} ÷ {b} ≈ {c}", "1,{a:03} people", "{a}.50 $ each", "so √{a} > {b}",
        "x² + {a} = {b}", "The Area of the SQUARE equals {a} m²", "it isn't {a}", "not {a} = {b}", "option C: {a}", "(A) {a} (B) {b}",
        "{a} km/h for {b} hours", "−{a} + {b} = {c}", "{a} × {b} = {c}", "{a}:{b}", "½ of {a} is {b}", "ÄPFEL sind {a}",
        "小明有{a}个苹果", "İstanbul is {a}", "the answer is {a}", "\\text{{cost}} = \\${a}", "\\[ {a} + {b} = {c} \\]", "f({a}) = {b}",
        "**{a} + {b} = {c}**", "`{a}`", "|{a} - {b}| = {c}", "{a}e3 = {b}", "sin {a}° = 0.5", "AB + CD = {a}", "H₂O is {a} g",
        "row {a}", "{a}, {b} and {c}", "There are {a} red ones; {b} are blue!", "{a}^{{{b}}}",
    ]
)  # fmt: skip
NUMBERS = st.integers(0, 999)
SENTENCE = st.builds(lambda said, a, b, c: said.format(a=a, b=b, c=c), SAID, NUMBERS, NUMBERS, NUMBERS) | st.text(max_size=12)
STEP = st.lists(st.tuples(SENTENCE, st.sampled_from([". ", " ", ", ", "\n", "; so "])), min_size=1, max_size=5).map(
    lambda parts: "".join(map("".join, parts))
)
OPTIONS = st.sampled_from(["", "\nChoices:\nA: 12\nB: 15", "\nA. 3 cm\nB. 4 cm\nC. $\\frac{1}{2}$", " (A) 1 (B) 2 (C) 3"])


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """A record as Mulberry has them, taken by curation."""
    steps, wording, options = draw(st.lists(STEP, min_size=1, max_size=4)), draw(STEP), draw(OPTIONS)
    try:
        text = render("A figure.", "Think.", steps, draw(st.sampled_from(["12", "B", "C: 3", "3 cm", "yes", "$\\frac{1}{2}$"])))
    except ValueError:
        assume(False)
    judged = judge_record(RawRecord("mine", 1, "{}", f"<image>{wording}{options}", text, ("1.png",)), TextChecks(sketches=False))
    assume(isinstance(judged, Candidate))
    assert isinstance(judged, Candidate)
    return question(0, text=judged.text, choices=judged.choices, answer=judged.answer, reference_path=judged.reference_path, key_steps=())


@given(questions())
def test_a_reference_path_reaches_all_of_its_key_steps(one: Question) -> None:
    path = parse(one.reference_path)
    key_steps = extract_key_steps(path, 6)
    assert None not in match(path, compile_key_steps(key_steps))
    assert standing(key_steps, one.reference_path) == (key_steps, ())


def there_and_back(one: Question, *, published: bool = False) -> Question:
    """A question with the key steps that were written for it and laid over it again; as published there is no id."""
    with TemporaryDirectory() as folder:
        first, second = Path(folder) / "first.jsonl", Path(folder) / "second.jsonl"
        assert export_key_steps(first, [one]) == 1
        if published:
            record = json.loads(first.read_text(encoding="utf-8"))
            del record["id"]
            first.write_text(json.dumps(record) + "\n", encoding="utf-8")
        laid = lay_over(read_given(first), [one], frozenset([one.id]))
        assert laid.left_out == []
        back = replace(one, key_steps=standing(laid.by_question[one.id].key_steps, one.reference_path).kept)
        export_key_steps(second, [back])
        assert published or second.read_bytes() == first.read_bytes()
        return back


@given(questions())
def test_what_the_rules_found_goes_out_and_comes_back(one: Question) -> None:
    one = replace(one, key_steps=extract_key_steps(parse(one.reference_path), 6))
    assert there_and_back(one) == there_and_back(one, published=True) == one


FORM = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | SENTENCE
FORMS = st.lists(FORM.filter(lambda form: compile_form(form) is not None), min_size=1, max_size=4).map(tuple)


@given(
    st.lists(FORMS, max_size=5).map(tuple), st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(max_size=20)
)
@example((), None, "")
@example((("x = 5\n\u2028\x00\x1f \"'\\frac{1}{2}\\\\ \U0001f600", "5 " * 200_000),), 'a "b"\n', "\\")
def test_odd_forms_go_out_and_come_back(key_steps: tuple[tuple[str, ...], ...], own: str | None, text: str) -> None:
    """Of a question whose answer alone is known, so that there is no path to hold them against."""
    assume(text.isprintable())
    one = question(0, text=text, choices=(), reference_path="", key_steps=key_steps, source_id=own)
    assert there_and_back(one) == one
