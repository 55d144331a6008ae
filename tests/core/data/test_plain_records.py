"""Plain records: whatever is taken as one, the exact reader finds, and says the same of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1vl_core.data.interpretation import interpret
from r1vl_core.data.json_stream import decode_line
from r1vl_core.data.plain_records import read_plain
from tests.core.data.samples import record

PLAIN = json.dumps(record("What is 3 + 4?"))
PIECES = (
    *"{}[],:'", '"', "\\", "\\u0000", "\\ud800", "\\ud83d\\ude00", "\ud800", "\u2028", "\x00", "\x7f", "\x0b", "\ufeff", " ", "\n",
    "null", "true", "NaN", "-Infinity", "1e999", "-0", "1.5", "12345678901234567890123", "//", '""', '"answer": ', '"answer": 7, ',
    '"answer": "7", ', '"images": ["1.png"], ', '"images": "a:b", ', '"messages": null, ', '"conversations": [], ', '"role": "gpt", ',
    '"id": 18446744073709551616, ', '"content": [{"type": "text", "text": "x"}], ',
)  # fmt: skip


def check(text: str) -> None:
    """What is taken as plain is what the exact reader says, and a whole record."""
    plain = read_plain(text)
    if plain is None:
        return
    element = decode_line(text.strip(" \t\r\n"))
    assert element.problem is None
    assert interpret(element.value) == plain


@pytest.mark.parametrize(
    "spelled", [PLAIN, json.dumps(record("é ☃ 😀"), ensure_ascii=False), json.dumps(record(), indent=2), f" {PLAIN}\r\n"]
)
def test_the_usual_record_is_plain(spelled: str) -> None:
    assert read_plain(spelled) is not None
    check(spelled)


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", PLAIN[:-1], PLAIN + PLAIN, PLAIN + ",", "\ufeff" + PLAIN,
        PLAIN.replace("{", '{"answer": NaN, ', 1),
        PLAIN.replace("{", '{"answer": 12345678901234567890123, ', 1),
        PLAIN.replace("{", '{"id": 1e999, ', 1),
        PLAIN.replace("3 + 4", "\\ud800"),
        PLAIN.replace("3 + 4", "\ud800"),
        PLAIN.replace("3 + 4", "\x01"),
        PLAIN.replace("{", '{"deep": ' + "[" * 990 + "]" * 990 + ", ", 1),
        PLAIN.replace("{", '{"images": ' + "[" * 990 + "]" * 990 + ", ", 1),
    ],
)  # fmt: skip
def test_others_are_left_to_the_exact_reader(text: str) -> None:
    assert read_plain(text) is None


def test_of_a_key_given_twice_the_last_counts() -> None:
    text = PLAIN.replace("{", '{"images": "other.png", "answer": "1", ', 1)
    assert read_plain(text) is not None
    check(text)


@settings(max_examples=800, deadline=None)
@given(st.data())
def test_a_changed_record_is_plain_only_if_it_says_the_same(data: st.DataObject) -> None:
    text = PLAIN
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.sampled_from(PIECES)) + text[at + data.draw(st.integers(0, 3)) :]
    check(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "type", "text"]), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(["messages", "conversations", "images", "image", "answer", "problem", "id"]), VALUES), st.booleans())
def test_any_fields_beside_or_in_place_of_the_usual_ones(fields: dict[str, object], ascii_only: bool) -> None:
    check(json.dumps({**record(), **fields}, ensure_ascii=ascii_only))
    check(json.dumps({**fields, **record()}, ensure_ascii=ascii_only))
