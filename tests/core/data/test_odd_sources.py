"""What strangers bring: records as public data sets spell them, and files that are none of ours, each told with its cure."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from r1vl_core.config import Source
from r1vl_core.data.curate import curate
from r1vl_core.data.readers import read_records
from tests.core.data.samples import Curated, Folder, encoded, path, picture, record

GOOD = json.dumps(record())


@pytest.mark.parametrize(
    "images",
    [
        {"images": None, "image": "a.png"},
        {"images": [], "image": "a.png"},
        {"image": "", "image_path": "a.png"},
        {"image": {"bytes": None, "path": "a.png"}},
        {"images": [{"path": "a.png"}]},
    ],
)
def test_the_field_that_says_something_counts(folder: Folder, images: dict[str, Any]) -> None:
    turns = {"conversations": [{"from": "human", "value": "<image>\nHow many?"}, {"from": "gpt", "value": path()}]}
    (only,) = folder.read([{"messages": None, "problem": None, **turns, **images}])
    assert (only.problem, only.user, only.images) == (None, "<image>\nHow many?", ("a.png",))


@pytest.mark.parametrize("named", [{}, {"image": "a.png"}, {"image_url": {"url": "a.png"}}])
def test_messages_in_parts(folder: Folder, named: dict[str, Any]) -> None:
    user = [{"type": "image", **named}, {"type": "text", "text": "How many"}, {"type": "text", "text": " boards?"}]
    (only,) = folder.read([record(user, [{"type": "text", "text": path()}], images=None if named else "a.png")])
    assert (only.problem, only.user, only.assistant, only.images) == (None, "<image>How many boards?", path(), ("a.png",))


@pytest.mark.parametrize("choices", [{"A": "12", "B": "15"}, [["A", "12"], ["B", "15"]], ["12", "15"]])
def test_choices_as_people_write_them(folder: Folder, choices: Any) -> None:
    (only,) = folder.read([{"question": "Which?", "choices": choices, "answer": "A", "reference_path": path("A"), "image": "a.png"}])
    assert (only.problem, only.choices) == (None, (("A", "12"), ("B", "15")))


@pytest.mark.parametrize(
    ("content", "cure"),
    [
        (gzip.compress(b"[{}]", mtime=0), "compressed with gzip; unpack it first"),
        (b"PK\x03\x04...", "a ZIP archive; unpack it first"),
        ("[{}]".encode("utf-16"), "in UTF-16; save it as UTF-8"),
        ("[{}]".encode("utf-16-le"), "in UTF-16 or UTF-32; save it as UTF-8"),
        ("[{}]".encode("utf-16-be"), "in UTF-16 or UTF-32; save it as UTF-8"),
        ("[{}]".encode("utf-32"), "in UTF-32; save it as UTF-8"),
        (bz2.compress(b"[{}]"), "compressed with bzip2; unpack it first"),
        (lzma.compress(b"[{}]"), "compressed with xz; unpack it first"),
        (b"\x28\xb5\x2f\xfd....", "compressed with Zstandard; unpack it first"),
        (b"ARROW1\0\0", "an Arrow file; write its table as Parquet"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS and not the file itself; fetch it"),
    ],
)
def test_a_file_that_is_no_text_is_told_with_the_cure(folder: Folder, content: bytes, cure: str) -> None:
    with pytest.raises(ValueError, match=f"train.json is {cure}"):
        folder.read(content)


ONE_OBJECT = json.dumps({"data": [record()] * 400}, indent=1)


@pytest.mark.parametrize("name", ["train.json", "train.jsonl", "train.txt"])
@pytest.mark.parametrize("content", [ONE_OBJECT, json.dumps(record(), indent=2), "\n".join([json.dumps(record(), indent=2)] * 3)])
def test_one_object_over_several_lines_is_no_file_of_records(folder: Folder, content: str, name: str) -> None:
    assert len(ONE_OBJECT) > 65_536
    with pytest.raises(ValueError, match="begins with one JSON object over several lines; write an array of the records"):
        folder.read(content, name)


@pytest.mark.parametrize("first", ["{", '{"mess', GOOD[:60], GOOD[:-1], '{"a": "' + "x" * 100_000, GOOD + "}"])
def test_a_broken_first_line_costs_no_other(folder: Folder, first: str) -> None:
    read = folder.read("\n".join([first, *[GOOD] * 300]), "train.jsonl")
    assert [one.problem is None for one in read] == [False] + [True] * 300


@pytest.mark.parametrize("place", ["s3://bucket/train.json", "https://example.org/train.json"])
def test_a_url_is_told_the_cure(tmp_path: Path, place: str) -> None:
    for source in (Source(name="mine", path=Path(place), images=tmp_path), Source(name="mine", path=tmp_path, images=tmp_path / place)):
        with pytest.raises(ValueError, match="a URL is no path, and nothing is downloaded; copy the files here, or mount the store"):
            read_records(source)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_picture_in_base64_is_told_to_lie_inside(folder: Folder, kind: str) -> None:
    spelled = base64.b64encode(encoded(picture(size=(128, 128)), kind)).decode()
    for images in (spelled, [spelled]):
        (only,) = folder.read([record(images=images)])
        assert only.problem == "the picture lies inside the record; `r1vl unpack FILE FOLDER` writes such pictures into a folder"


@pytest.mark.parametrize("changes", [{"reference_path": path("B")}, {"key_steps": [["5 + 7 = 12"]]}])
@pytest.mark.parametrize("answer", [1, "1", "E", "the second one"])
def test_an_index_into_the_choices_is_no_answer(folder: Folder, changes: dict[str, Any], answer: Any) -> None:
    folder.picture("0.png")
    given = {"question": "Which?", "choices": ["10", "12"], "image": "0.png", **changes}
    (rejected,) = Curated.of(curate([folder.source([{**given, "answer": answer}])], folder.checks())).rejected
    assert rejected.reason == "answer_mismatch"
    for right in ("B", "b: 12", "12"):
        assert len(Curated.of(curate([folder.source([{**given, "answer": right}])], folder.checks())).questions) == 1


def test_choices_in_pairs_have_letters_of_their_own(folder: Folder) -> None:
    (only,) = folder.read([{"question": "Which?", "choices": [["A", "10"], ["A", "12"]], "answer": "A", "image": "0.png"}])
    assert only.problem == "choices: a letter is given twice; give each choice its own"


@pytest.mark.parametrize(
    "odd",
    [
        pyarrow.array([2**30], pyarrow.date32()),
        pyarrow.array([2**62], pyarrow.duration("s")),
        pyarrow.array([0], pyarrow.timestamp("ns", tz="Mars/Olympus")),
    ],
    ids=["a date beyond all years", "a duration beyond all", "a time zone nobody knows"],
)
def test_a_column_that_python_cannot_hold_is_described(folder: Folder, odd: pyarrow.Array) -> None:
    columns = {"question": ["How many?"], "reference_path": [path()], "image": ["0.png"], "when": odd}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder.root / "train.parquet")
    (only,) = read_records(Source(name="mine", path=folder.root / "train.parquet", images=folder.images))
    assert (only.problem, only.user) == (None, "How many?")
    assert f"<{odd.type}>" in only.raw


def test_a_name_no_file_can_have_is_no_file(folder: Folder) -> None:
    for source in (
        Source(name="mine", path=Path("x" * 5000), images=folder.images),
        Source(name="mine", path=folder.source([]).path, images=Path("x" * 5000)),
    ):
        with pytest.raises(ValueError, match="cannot be read: File name too long"):
            read_records(source)
