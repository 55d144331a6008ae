"""Readers: both formats, every spelling of a record, and a name for everything that is broken."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from r1vl_core.config import Source
from r1vl_core.data import json_stream
from r1vl_core.data.readers import read_records
from tests.core.data.samples import Folder, path, record

GOOD = json.dumps(record())


def test_mulberry_record(folder: Folder) -> None:
    (only,) = folder.read([record("<image>What?", "### …", "geoqa_plus/213.png")])
    assert (only.source, only.row, only.user, only.assistant) == ("mine", 1, "<image>What?", "### …")
    assert only.images == ("geoqa_plus/213.png",)
    assert only.problem is None
    assert json.loads(only.raw) == record("<image>What?", "### …", "geoqa_plus/213.png")


@pytest.mark.parametrize(
    ("images", "expected"),
    [("a.png", ("a.png",)), (["a.png"], ("a.png",)), (["a.png", "b.png"], ("a.png", "b.png")), ([], ()), (None, ()), ("", ())],
)
def test_images_as_string_or_list(folder: Folder, images: Any, expected: tuple[str, ...]) -> None:
    (only,) = folder.read([record(images=images)])
    assert (only.images, only.problem) == (expected, None)


def test_sharegpt_spelling_and_system_message(folder: Folder) -> None:
    turns = [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "What?"}, {"from": "gpt", "value": "That."}]
    (only,) = folder.read([{"id": "7", "conversations": turns, "image": "a.png"}])
    assert (only.user, only.assistant, only.images, only.problem) == ("What?", "That.", ("a.png",), None)


def test_json_lines_same_as_array(folder: Folder) -> None:
    records = [record(f"Question {i}?\u2028é", images=f"{i}.png") for i in range(5)]
    lines = "\r\n".join(json.dumps(one, ensure_ascii=False) for one in records) + "\n\n"
    assert folder.read(lines, "train.jsonl") == folder.read(lines, "lines.json") == folder.read(records)


def test_one_bad_line_is_one_problem(folder: Folder) -> None:
    read = folder.read(f"not json\n{GOOD}\n{GOOD[:-9]}\n\n{GOOD} tail\n{GOOD}\n", "train.jsonl")
    assert [one.problem is None for one in read] == [False, True, False, False, True]
    assert [one.row for one in read] == [1, 2, 3, 4, 5]
    assert read[2].raw == GOOD[:-9]


BROKEN = {
    "unquoted word": '{"messages": [nonsense], "images": "x.png"}',
    "missing bracket": '{"messages": [{"role": "user", "content": "a"}, "images": "x.png"}',
    "missing brace": '{"messages": [{"role": "user", "content": "a"}], "images": "x.png"',
    "missing list end": '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}',
    "missing quote": '{"messages": [{"role": "user, "content": "a"}], "images": "x.png"}',
    "string without an end": '{"messages": [{"role": "user", "content": "abc',
    "raw newline in a string": '{"messages": [{"role": "user", "content": "a\nb"}], "images": "x.png"}',
    "bad escape": '{"messages": [{"role": "user", "content": "a\\x"}], "images": "x.png"}',
    "single quotes": "{'messages': []}",
    "no value": '{"messages": }',
    "bare word": "nonsense",
    "extra brace": GOOD + "}",
    "deep nesting": '{"messages": ' + "[" * 100_000,
    "endless number": '{"messages": [], "images": ' + "9" * 10_000 + "}",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_broken_record_in_an_array_costs_no_other(folder: Folder, broken: str) -> None:
    goods = [json.dumps(record(f"Question {i}?")) for i in range(4)]
    read = folder.read(f"[{goods[0]}, {goods[1]},\n{broken}, {goods[2]}, {goods[3]}]")
    assert [one.user for one in read if one.problem is None][:2] == ["Question 0?", "Question 1?"]
    expected = [f"Question {i}?" for i in range(4)]
    if broken == BROKEN["extra brace"]:
        expected.insert(2, record()["messages"][0]["content"])
    assert [one.user for one in read if one.problem is None] == expected
    (problem,) = [one for one in read if one.problem is not None]
    assert problem.raw
    assert [one.row for one in read] == list(range(1, len(read) + 1))


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_broken_last_record(folder: Folder, broken: str) -> None:
    read = folder.read(f"[{GOOD}, {broken}]")
    assert read[0].problem is None
    assert sum(one.problem is not None for one in read) == 1


def test_two_broken_records_in_a_row_are_two(folder: Folder) -> None:
    read = folder.read(f'[{GOOD}, {{"messages": oops}}, {{"messages": [}}, {GOOD}]')
    assert [one.problem is None for one in read] == [True, False, False, True]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"[{GOOD}, {GOOD}", "cut off"),
        (f"[{GOOD}, {GOOD},", "cut off"),
        (f"[{GOOD}, {GOOD}] tail", "after the end"),
        (f"[{GOOD} {GOOD}]", "no comma"),
        (f"[{GOOD},, {GOOD}]", "comma"),
        (f"[{GOOD}, {GOOD}, {GOOD[:50]}", "broken JSON"),
        ("[", "cut off"),
    ],
)
def test_broken_array(folder: Folder, text: str, problem: str) -> None:
    read = folder.read(text)
    assert sum(one.problem is None for one in read) == (2 if len(text) > 1 else 0)
    assert [problem in one.problem for one in read if one.problem] == [True]


def test_empty_array(folder: Folder) -> None:
    assert folder.read(" [ ] \n") == []


HOSTILE: dict[str, tuple[Any, str]] = {
    "null": (None, "expected a JSON object, found null"),
    "number": (7, "found a number"),
    "not a number": (float("nan"), "found a number"),
    "string": ("x", "found a string"),
    "list": ([], "found a list"),
    "truth": (True, "found a truth value"),
    "no messages": ({"images": "a.png"}, "neither 'messages' nor 'conversations' nor 'problem' nor 'question' in the record, which holds"),
    "messages null": ({"messages": None}, "'messages' is null"),
    "messages an object": ({"messages": {}}, "'messages' is an object"),
    "no message": ({"messages": []}, "found none"),
    "message null": ({"messages": [None, None]}, "is null; an object is expected"),
    "message a string": ({"messages": ["a", "b"]}, "is a string"),
    "no role": ({"messages": [{"content": "a"}]}, "has the role None"),
    "role a list": ({"messages": [{"role": [], "content": "a"}]}, "has the role []"),
    "unknown role": ({"messages": [{"role": "tool", "content": "a"}]}, "has the role 'tool'"),
    "content null": (record(user=None), "the user message's text is null"),
    "content an empty list": (record(user=[]), "text is a list"),
    "content a list of texts": (record(user=["How many?"]), "a list that holds a string"),
    "content with sound": (record(user=[{"type": "audio", "audio": "a.wav"}]), "parts of the type 'text' or 'image'"),
    "content with a text of null": (record(user=[{"type": "text", "text": None}]), "a list that holds an object"),
    "content a number": (record(assistant=3.5), "the assistant message's text is a number"),
    "no assistant": ({"messages": [{"role": "user", "content": "a"}]}, "found user"),
    "assistant first": ({"messages": list(reversed(record()["messages"]))}, "found assistant, user"),
    "two rounds": ({"messages": record()["messages"] * 2}, "found user, assistant, user, assistant"),
    "images a number": (record(images=3), "'images' is a number"),
    "images not a number": (record(images=float("nan")), "'images' is a number"),
    "images an object": (record(images={"file": "a.png"}), "'images' is an object"),
    "images an object without a path": (record(images={"bytes": None, "path": None}), "'images' holds null"),
    "images inside": (record(images="data:image/png;base64,iVBORw0KGgo="), "lies inside the record"),
    "images a URL": (record(images=["https://example.org/a.png"]), "a URL, 'https://example.org/a.png'; nothing is downloaded"),
    "answer not a number": ({**record(), "answer": float("nan")}, "'answer' is nan, which is no number"),
    "choices a list of numbers": ({"question": "?", "choices": [1, 2]}, "choices is a list of other things than texts"),
    "images a list of null": (record(images=[None]), "'images' holds null"),
    "images a list of lists": (record(images=[["a.png"]]), "'images' holds a list"),
    "images an empty path": (record(images=[""]), "'images' holds an empty path"),
}


@pytest.mark.parametrize(("value", "problem"), HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("name", ["train.json", "train.jsonl"])
def test_wrong_types_are_named(folder: Folder, value: Any, problem: str, name: str) -> None:
    values = [record("First?"), value, record("Last?")]
    text = json.dumps(values) if name == "train.json" else "\n".join(map(json.dumps, values))
    first, hostile, last = folder.read(text, name)
    assert (first.user, last.user) == ("First?", "Last?")
    assert problem in str(hostile.problem)
    assert hostile.raw == json.dumps(value)


def test_lone_surrogates_and_bad_bytes_are_named_and_storable(folder: Folder) -> None:
    escaped = json.dumps(record("half \ud83d of a pair"))
    in_path = json.dumps(record(images="\udcff.png"))
    bad_bytes = GOOD.encode().replace(b"sum", b"s\xff\xfem")
    read = folder.read(b"[" + b",".join([escaped.encode(), in_path.encode(), bad_bytes, GOOD.encode()]) + b"]")
    assert [one.problem is None for one in read] == [False, False, False, True]
    assert all("surrogate" in str(one.problem) for one in read[:3])
    assert [one.raw.encode("utf-8").decode() for one in read] == [one.raw for one in read]
    assert "s\\udcff\\udcfem" in read[2].raw


def test_byte_order_mark_and_blanks(folder: Folder) -> None:
    assert folder.read(f"\ufeff \n\t[\n{GOOD}\n,\n{GOOD}\n]\n")[1].problem is None
    assert folder.read(f"\ufeff{GOOD}\n", "a.jsonl")[0].problem is None


@pytest.mark.parametrize("size", [1, 2, 7, 64, 100, 1000])
def test_chunk_boundaries_change_nothing(folder: Folder, size: int) -> None:
    values = [record("é" * size), -12.5e-30, None, True, '\\"\n\u2028', [], float("inf"), record("last")]
    text = json.dumps(values, ensure_ascii=False)
    whole = folder.source(text)
    expected = [(json.dumps(value, ensure_ascii=False), value) for value in values]
    found = []
    with whole.path.open(encoding="utf-8") as file:
        for element in json_stream.read_array(SmallReads(file, size)):  # type: ignore[arg-type]
            assert element.problem is None, element
            found.append((element.raw, element.value))
    assert found == expected


@pytest.mark.parametrize("size", range(1, 80, 3))
def test_chunk_boundaries_hide_no_record_after_a_broken_one(folder: Folder, size: int) -> None:
    source = folder.source(f'[{GOOD}, {{"messages": [}}, {GOOD}, {{"messages": oops, "x": "{"y" * 100}"}},\n{{ "messages":{GOOD[12:]}]')
    with source.path.open(encoding="utf-8") as file:
        found = list(json_stream.read_array(SmallReads(file, size)))  # type: ignore[arg-type]
    assert [element.problem is None for element in found] == [True, False, True, False, True]
    assert found[1].raw == '{"messages": [}'
    assert found[3].raw == f'{{"messages": oops, "x": "{"y" * 100}"}}'


class SmallReads:
    """A file that gives at most `size` characters a read, as pipes and network drives do."""

    def __init__(self, file: Any, size: int) -> None:
        self._file, self._size = file, size

    def read(self, num_chars: int) -> str:
        text: str = self._file.read(min(num_chars, self._size))
        return text


def test_memory_is_bounded(folder: Folder) -> None:
    one = json.dumps(record("x" * 200_000))
    source = folder.source("[" + ",".join([one] * 200) + "]")
    tracemalloc.start()
    num_read = sum(one.problem is None for one in read_records(source))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert num_read == 200
    assert peak < source.path.stat().st_size / 2


def test_a_record_without_an_end_does_not_swallow_the_file(folder: Folder) -> None:
    endless = '{"messages": [{"role": "user", "content": "' + "x" * (json_stream.MAX_RECORD_CHARS + 1)
    read = folder.read(f"[{GOOD}, {endless}, {GOOD}, {GOOD}]")
    assert [one.problem is None for one in read] == [True, False, True, True]
    assert len(read[1].raw) < json_stream.KEPT_CHARS + 100
    lines = folder.read(f"{GOOD}\n{endless}\n{GOOD}\n", "train.jsonl")
    assert [one.problem is None for one in lines] == [True, False, True]
    assert len(lines[1].raw) < json_stream.KEPT_CHARS + 100


def test_a_list_without_an_end_does_not_swallow_the_file(folder: Folder) -> None:
    one = json.dumps(record("x" * 500_000))
    source = folder.source('[{"messages": [' + ",".join([one] * 140) + "]")
    tracemalloc.start()
    problems = [one.problem for one in read_records(source)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert problems == [f"no end within {json_stream.MAX_RECORD_CHARS} characters"] + [None] * 140
    assert peak < source.path.stat().st_size * 0.8


def test_a_carriage_return_between_tokens_is_no_line(folder: Folder) -> None:
    spaced = GOOD.replace(", ", ",\r")
    assert [one.raw for one in folder.read(f"{spaced}\r\n{spaced}\n", "train.jsonl")] == [spaced, spaced]


def test_missing_file_and_folder_are_named_at_the_call(tmp_path: Path) -> None:
    source = Source(name="mine", path=tmp_path / "none.json", images=tmp_path)
    with pytest.raises(ValueError, match=r"source mine: .*none\.json: no such file; set this source's `path`"):
        read_records(source)
    (tmp_path / "none.json").write_text("[]")
    with pytest.raises(ValueError, match=r"pictures: no such folder; set this source's `images`"):
        read_records(Source(name="mine", path=tmp_path / "none.json", images=tmp_path / "pictures"))
    with pytest.raises(ValueError, match="is not a file"):
        read_records(Source(name="mine", path=tmp_path, images=tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"hello", "neither a JSON array nor JSON lines"),
        (b"\xff\xfe[\0", "in UTF-16; save it as UTF-8"),
        (b"PK\3\4", "a ZIP archive; unpack it first"),
        (b"\x1f\x8b\x08", "compressed with gzip; unpack it first"),
    ],
)
def test_a_file_that_is_no_json(folder: Folder, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        folder.read(content)


def test_path_survives_reading(folder: Folder) -> None:
    (only,) = folder.read([record(assistant=path("B: 45"))])
    assert only.assistant == path("B: 45")
