"""Nearly the same: text and picture must agree, numbers count, and what a held-out set asks is found in another wording."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rensa import RMinHash

from r1vl_core.config import Curate
from r1vl_core.data.curate import held_out_questions, judge
from r1vl_core.data.near_duplicates import HeldOut, HeldOutSet, Seen
from r1vl_core.data.near_texts import NearTexts, pieces, similarity, sketch, sketches
from r1vl_core.records import BenchmarkRow
from tests.core.data.looks import chart
from tests.core.data.samples import Curated, Folder, encoded, path, record

LONG = "In the bar chart above, by how many units does the tallest bar exceed the shortest bar of the group?"
LONG_AGAIN = LONG.replace("bar chart above", "bar-chart above")


def run(folder: Folder, records: list[dict[str, object]], limits: Curate | None = None, **changes: object) -> list[tuple[int, str]]:
    """Row and reason of every reject."""
    return [(one.row, one.reason) for one in Curated.of(judge(folder.read(records), folder.checks(limits, **changes))).rejected]


@pytest.fixture
def charts(folder: Folder) -> Folder:
    """Two charts, the first also as JPEG."""
    folder.picture("1.png", encoded(chart(1)))
    folder.picture("1.jpg", encoded(chart(1), "JPEG"))
    folder.picture("2.png", encoded(chart(2)))
    return folder


def test_both_must_agree(charts: Folder) -> None:
    records = [
        record(LONG, images="1.png"),
        record(LONG_AGAIN, images="1.jpg"),  # both near
        record(LONG, images="1.jpg"),  # the same text, a near picture
        record(LONG_AGAIN, images="1.png"),  # a near text, the same picture
        record(LONG_AGAIN, images="2.png"),  # another picture
        record("What is the title of the chart?", images="1.jpg"),  # another question
    ]
    assert run(charts, records) == [(row, "near_duplicate") for row in (2, 3, 4)]
    assert not run(charts, records, Curate(near_duplicates=0))


def test_numbers_choices_and_answers_tell_questions_apart(charts: Folder) -> None:
    asked = "What is the sum of the two bars for the years 2001 and 2004 in this chart of sales?"
    choices = "\nChoices:\nA: 12\nB: "
    records = [
        record(asked, images="1.png"),
        record(asked.replace("2004", "2005"), images="1.jpg"),
        record(asked, path("13"), "1.jpg"),
        record(asked + choices + "15", images="1.jpg"),
        record(asked + choices + "16", images="1.jpg"),
    ]
    assert not run(charts, records)


def test_only_an_accepted_question_makes_another_near(charts: Folder) -> None:
    assert run(charts, [record(LONG, path("word " * 3000), "1.png"), record(LONG_AGAIN, images="1.jpg")]) == [(1, "path_too_long")]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6))
def test_near_texts_are_found_whatever_else_is_there(seed: int) -> None:
    """At a similarity of 0.8 MinHash misses one pair in a thousand; nothing below it is ever found."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefghij", k=draw.randint(2, 8))) for _ in range(40)]
    texts = NearTexts(0.8)
    for _ in range(20):
        other = " ".join(draw.choices(words, k=14))
        texts.add(other, sketch(other))
    text = " ".join(draw.choices(words, k=30))
    number = texts.add(text, sketch(text))
    changed = text + "s"
    assert number in texts.near(changed, sketch(changed))
    assert texts.near(text, sketch(text)) == [number]
    stranger = " ".join(draw.choices(words, k=14))
    assert all(similarity(stranger, texts._texts[found]) >= 0.8 for found in texts.near(stranger, sketch(stranger)))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(["", "a", "abcd", "abcde", "a\0b\0\0c"])))
def test_sketches_made_together_are_those_of_each_text_alone(texts: list[str]) -> None:
    for text, sketched in zip(texts, sketches(texts), strict=True):
        hashes = RMinHash(num_perm=30, seed=20_260_101)
        hashes.update(list(pieces(text)))
        assert np.frombuffer(sketched, np.uint32, 30).tolist() == hashes.digest()
        assert sketched == sketch(text)


def test_many_texts_after_one_pattern() -> None:
    """Thousands of questions that differ in a number are no candidates for each other; those that differ in a name are compared quickly."""
    seen = Seen(0.8, 4)
    for number in range(3000):
        text = f"what is the value of the bar for the year {number} in the chart of yearly sales?"
        assert seen.find(text, sketch(text), 7, "") is None
        seen.add(text, sketch(text), 7, "", str(number))
    assert len({len(seen._texts._with_keys([key])) for key in seen._texts._by_key}) == 1
    text = "what is the value of the bar for the year 17 in the chart of yearly  sale?"
    assert seen.find(text, sketch(text), 7, "") == "17"
    assert seen.find(text, sketch(text), 2**20 - 1, "") is None


def test_a_text_asked_of_many_pictures() -> None:
    seen = Seen(0.8, 4)
    draw = random.Random(0)
    hashes = [draw.getrandbits(64) for _ in range(500)]
    for number, phash in enumerate(hashes):
        seen.add("what is x?", sketch("what is x?"), phash, "", str(number))
    assert seen.find("what is x?", sketch("what is x?"), hashes[321] ^ 0b1011, "") == "321"
    assert seen.find("what is x?", sketch("what is x?"), hashes[321] ^ 0b11111 << 30, "") is None


def test_contamination_by_likeness(charts: Folder) -> None:
    rows = [BenchmarkRow("1", LONG, (), "12", "", encoded(chart(1)))]
    held_out = held_out_questions(rows, 10**6, "MathVista.tsv")
    records = [
        record(LONG, images="1.png"),
        record(LONG_AGAIN, images="1.jpg"),
        record("What is the title?", images="1.jpg"),
        record(LONG_AGAIN, images="2.png"),
        record("What is the title?", images="2.png"),
    ]
    assert run(charts, records, held_out=held_out) == [(1, "contaminated"), (2, "contaminated")]
    assert run(charts, records, Curate(near_duplicates=0), held_out=held_out) == [(1, "contaminated")]
    either = Curate(contaminated_by="either")
    assert run(charts, records, either, held_out=held_out) == [(row, "contaminated") for row in range(1, 5)]
    (rejected, *_) = Curated.of(judge(charts.read(records[2:]), charts.checks(either, held_out=held_out))).rejected
    assert rejected.detail == "MathVista.tsv has nearly the same picture"


def test_a_held_out_question_is_known_among_other_words(charts: Folder) -> None:
    rows = [BenchmarkRow("1", "How many bars are there?", (), "12", "", encoded(chart(1)))]
    held_out = held_out_questions(rows, 10**6, "MathVista.tsv")
    asked = [
        "According to the picture, how many bars are there?",
        "Look at the sales of the company. How many bars are there? Count them one by one.",
        "How many bars are there?\nAnswer the question using a single word or phrase.",
        "How many bars are there in the left half?",
        "How many of the bars are there?",
        "How many?",
    ]
    records = [record(text, images="1.jpg") for text in asked] + [record(asked[0], images="2.png")]
    assert run(charts, records, held_out=held_out) == [(row, "contaminated") for row in (1, 2, 3)]
    assert run(charts, records[:1], Curate(contamination=False), held_out=held_out) == []


def test_a_short_question_alone_is_everybodys() -> None:
    held = HeldOutSet([HeldOut("what is the value of x?", "ab", 1)], 0.8, 4, "either")
    assert held.find("what is the value of x?", sketch("what is the value of x?"), "cd", 2**40 - 1) is None
    assert held.find("how many?", sketch("how many?"), "ab", 1) is not None
