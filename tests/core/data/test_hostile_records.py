"""A hostile set: every malformed record is rejected by name with its raw form, none is lost, and the good ones around it are kept.

Each entry is a record (a value, or JSON text that is none) and the reason it must get; every one of them is tried alone between two good
records, in each format that can hold it, and then all together in one file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from r1vl_core.config import Curate, Source
from r1vl_core.data import database
from r1vl_core.data.curate import REASONS, curate
from r1vl_core.reasoning.paths import render
from r1vl_core.records import Rejected
from tests.core.data.looks import chart
from tests.core.data.samples import Curated, Folder, bomb_png, encoded, path, picture, record

GOOD = json.dumps(record("Good?", images="good.png"))
MANY_STEPS = render("d", "r", [f"step {number}" for number in range(10_000)], "x")
PAPER = {"problem": "How many?", "solution": path(), "image_path": "0.png", "key_steps": {"Steps": [["12"]]}}


def changed(**changes: Any) -> dict[str, Any]:
    """A record with other top-level fields."""
    return {**record(), **changes}


def answered(text: Any) -> dict[str, Any]:
    """A record with this reasoning path."""
    return record(assistant=text)


BROKEN_JSON = {
    "cut off after a brace": "{",
    "cut off in a key": '{"mess',
    "cut off in a string": '{"messages": [{"role": "user", "content": "How ma',
    "cut off in a list": GOOD[:60],
    "no closing brace": GOOD[:-1],
    "a bracket too many": GOOD + "]}",
    "a brace too many": GOOD + "}",
    "single quotes": GOOD.replace('"', "'"),
    "no quotes": '{messages: [{role: "user"}]}',
    "no colon": GOOD.replace('"images":', '"images"'),
    "no comma": GOOD.replace(', "images"', ' "images"'),
    "a trailing comma": GOOD[:-1] + ",}",
    "a comment": "/* comment */" + GOOD,
    "Python's words": '{"messages": None, "images": True}',
    "a bare word": "oops",
    "a control character in a string": GOOD.replace("Good", "Go\x01od"),
    "a tab in a string": GOOD.replace("Good", "Go\tod"),
    "a bad escape": GOOD.replace("Good", "Go\\xod"),
    "half an escape": GOOD.replace("Good", "Go\\u12"),
    "nested too deeply": '{"messages": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "a number of 10,000 digits": '{"id": ' + "9" * 10_000 + ', "messages": []}',
    "HTML": "<html><body>404</body></html>",
}
"""Text that is no JSON; no field can be read."""

NO_JSON_VALUE = {
    "not a number": '{"messages": NaN, "images": "0.png"}',
    "an answer that is not a number": json.dumps({**record(), "answer": float("nan")}),
    "infinity": '{"messages": [{"role": "user", "content": Infinity}], "images": "0.png"}',
    "a float beyond all": '{"messages": 1e999, "images": "0.png"}',
    "half a surrogate pair": json.dumps(record("half \ud83d of a pair")),
    "the other half, in the path": json.dumps(answered(path("12 \udc00"))),
    "half a pair in a picture's name": json.dumps(record(images="\ud83d.png")),
}
"""JSON, or what Python takes for it, that no table can hold."""

HOSTILE: dict[str, tuple[Any, str]] = {
    "null": (None, "unreadable_record"),
    "a number": (7, "unreadable_record"),
    "a truth value": (True, "unreadable_record"),
    "a string": ("record", "unreadable_record"),
    "a list": ([record()], "unreadable_record"),
    "an empty object": ({}, "unreadable_record"),
    "messages null": (changed(messages=None), "unreadable_record"),
    "messages a string": (changed(messages="user: How many?"), "unreadable_record"),
    "messages a number": (changed(messages=3), "unreadable_record"),
    "messages an object": (changed(messages={"role": "user"}), "unreadable_record"),
    "messages empty": (changed(messages=[]), "unreadable_record"),
    "messages of nulls": (changed(messages=[None, None]), "unreadable_record"),
    "messages of lists": (changed(messages=[[], []]), "unreadable_record"),
    "a role missing": (changed(messages=[{"content": "a"}]), "unreadable_record"),
    "a role of another kind": (changed(messages=[{"role": 1, "content": "a"}]), "unreadable_record"),
    "an unknown role": (changed(messages=[{"role": "tool", "content": "a"}]), "unreadable_record"),
    "the user alone": (changed(messages=record()["messages"][:1]), "unreadable_record"),
    "the assistant alone": (changed(messages=record()["messages"][1:]), "unreadable_record"),
    "the assistant first": (changed(messages=record()["messages"][::-1]), "unreadable_record"),
    "two rounds": (changed(messages=record()["messages"] * 2), "unreadable_record"),
    "content null": (record(user=None), "unreadable_record"),
    "content a list": (record(user=["How many?"]), "unreadable_record"),
    "content with a film": (record(user=[{"type": "video", "video": "a.mp4"}]), "unreadable_record"),
    "a question of invisible marks": (record(user="\u200b\u200b ?"), "unreadable_record"),
    "a picture inside": (record(images="data:image/png;base64,iVBORw0KGgo="), "unreadable_record"),
    "a picture's URL": (record(images="https://example.org/a.png"), "unreadable_record"),
    "a file's URL": (record(images="file:///etc/passwd"), "unreadable_record"),
    "an answer that is true": (changed(answer=True), "unreadable_record"),
    "content an object": (record(user={"text": "How many?"}), "unreadable_record"),
    "a path of another kind": (changed(messages=[{"role": "user", "content": "a"}, {"role": "gpt", "content": 12}]), "unreadable_record"),
    "a question of blanks": (record(user=" \n\t "), "unreadable_record"),
    "a question of placeholders": (record(user="<image>"), "unreadable_record"),
    "an answer that is a list": (changed(answer=[12]), "unreadable_record"),
    "pictures a number": (record(images=3), "unreadable_record"),
    "pictures an object": (record(images={"file": "0.png"}), "unreadable_record"),
    "pictures of nulls": (record(images=[None]), "unreadable_record"),
    "an empty picture path": (record(images=[""]), "unreadable_record"),
    "problem a number": ({**PAPER, "problem": 3}, "unreadable_record"),
    "solution null": ({**PAPER, "solution": None}, "unreadable_record"),
    "key steps a string": ({**PAPER, "key_steps": "12"}, "unreadable_record"),
    "a key step empty": ({**PAPER, "key_steps": {"Steps": [[]]}}, "unreadable_record"),
    "a form null": ({**PAPER, "key_steps": {"Steps": [[None]]}}, "unreadable_record"),
    "a form of blanks": ({**PAPER, "key_steps": {"Steps": [[" "]]}}, "unreadable_record"),
    "no key steps and no path": ({**PAPER, "solution": "12", "key_steps": None}, "unparsable_path"),
    "no picture": (record(images=None), "no_image"),
    "two pictures": (record(images=["0.png", "good.png"]), "several_images"),
    "10,000 pictures": (record(images=["0.png"] * 10_000), "several_images"),
    "two placeholders": (record(user="<image><image>Which differs?"), "several_images"),
    "an empty path": (answered(""), "unparsable_path"),
    "prose without sections": (answered("The answer is 12."), "unparsable_path"),
    "a binary path": (answered("".join(map(chr, range(32))) * 20), "unparsable_path"),
    "sections backwards": (answered("### The final answer is: 12\n### Rationales: r\n### Step 1: s"), "unparsable_path"),
    "no final answer": (answered(path().split("### The final")[0]), "no_answer"),
    "an empty final answer": (answered(path("")), "no_answer"),
    "rethinks": (answered(path() + "\nI think I have made a mistake. Let me rethink it."), "reflective"),
    "10,000 steps twice": (answered(MANY_STEPS + MANY_STEPS), "reflective"),
    "10,000 steps": (answered(MANY_STEPS), "path_too_long"),
    "a step of step numbers": (answered(path().replace("Step 2", "Step " + "9" * 5000)), "reflective"),
    "a huge question": (record(user="word " * 200_000), "prompt_too_long"),
    "a huge path": (answered(path("word " * 200_000)), "path_too_long"),
    "another answer": (changed(answer="13"), "answer_mismatch"),
    "another choice": (changed(**record("Which?\nChoices:\nA: 12\nB: 15", path("A: 12")), answer="B"), "answer_mismatch"),
    "another language": (record("Quelle est la longueur totale du segment rouge sur cette image ?"), "other_language"),
    "a climbing path": (record(images="../../etc/passwd"), "image_outside_root"),
    "an absolute path": (record(images="/etc/passwd"), "image_outside_root"),
    "a link out of the root": (record(images="out.png"), "image_outside_root"),
    "a linked folder out of the root": (record(images="up/secret.png"), "image_outside_root"),
    "a path with a NUL": (record(images="a\0.png"), "missing_image"),
    "a path of 10,000 letters": (record(images="a" * 10_000), "missing_image"),
    "a folder for a picture": (record(images="folder"), "missing_image"),
    "a pipe for a picture": (record(images="pipe"), "missing_image"),
    "a link to itself": (record(images="loop.png"), "missing_image"),
    "a picture that is not there": (record(images="lost.png"), "missing_image"),
    "no bytes": (record(images="empty.png"), "broken_image"),
    "a text called PNG": (record(images="text.png"), "broken_image"),
    "half a picture": (record(images="cut.png"), "broken_image"),
    "an SVG": (record(images="vector.svg"), "broken_image"),
    "a polyglot without pixels": (record(images="zip.png"), "broken_image"),
    "PostScript": (record(images="page.eps"), "broken_image"),
    "a decompression bomb": (record(images="bomb.png"), "image_too_large"),
    "a bomb below Pillow's limit": (record(images="large.png"), "image_too_large"),
    "one pixel": (record(images="dot.png"), "image_too_small"),
    "a hair": (record(images="hair.png"), "image_too_narrow"),
    "said twice": (record("Good?", images="good.png"), "duplicate"),
    "its id used twice": ({"id": 1, **record("GOOD ?".replace(" ", ""), images="good.png")}, "duplicate"),
    "said nearly twice": (record("Good?", images="good_again.jpg"), "near_duplicate"),
}  # fmt: skip

SETTINGS = Curate(language="en", max_image_pixels=4_000_000)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A folder with every kind of picture that the set names."""
    folder = Folder(tmp_path_factory.mktemp("hostile"))
    folder.picture("good.png", encoded(chart(1)))
    folder.picture("good_again.jpg", encoded(chart(1), "JPEG"))
    folder.picture("0.png")
    folder.picture("empty.png", b"")
    folder.picture("text.png", b"hello " * 100)
    folder.picture("cut.png", encoded(picture())[:-40])
    folder.picture("vector.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>')
    folder.picture("zip.png", b"\x89PNG\r\n\x1a\nPK\x03\x04" + b"\0" * 64)
    folder.picture("page.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n")
    folder.picture("bomb.png", bomb_png(60_000, 60_000))
    folder.picture("large.png", bomb_png(3000, 3000))
    folder.picture("dot.png", encoded(picture(size=(1, 1))))
    folder.picture("hair.png", encoded(Image.new("RGB", (28, 6000))))
    (folder.images / "folder").mkdir()
    os.mkfifo(folder.images / "pipe")
    (folder.images / "loop.png").symlink_to(folder.images / "loop.png")
    (folder.root / "secret.png").write_bytes(encoded(picture()))
    (folder.images / "out.png").symlink_to(folder.root / "secret.png")
    (folder.images / "up").symlink_to(folder.root)
    return folder


def curated(folder: Folder, source: Source) -> Curated:
    """Curate a source into a database; what is stored is what was read, each record once."""
    file = folder.root / "curated.duckdb"
    file.unlink(missing_ok=True)
    database.write_curated(file, curate([source], folder.checks(SETTINGS)), [source])
    found = Curated.of(database.iterate(file))
    assert database.counts(file).num_read == found.num_read
    assert {one.reason for one in found.rejected} <= set(REASONS)
    assert all(one.detail for one in found.rejected)
    return found


def rejection(found: Curated) -> Rejected:
    """The one reject between two good records."""
    assert [question.text for question in found.questions] == ["Good?", "Also good?"]
    (rejected,) = found.rejected
    assert rejected.row == 2
    return rejected


LAST = json.dumps(record("Also good?", images="good.png"))


@pytest.mark.parametrize("format", ["json", "jsonl"])
@pytest.mark.parametrize("text", [*BROKEN_JSON.values(), *NO_JSON_VALUE.values()], ids=[*BROKEN_JSON, *NO_JSON_VALUE])
def test_what_is_no_json_is_named(hostile: Folder, text: str, format: str) -> None:
    content = f"[{GOOD}, {text}, {LAST}]" if format == "json" else f"{GOOD}\n{text}\n{LAST}\n"
    found = curated(hostile, hostile.source(content, f"train.{format}"))
    if format == "json" and GOOD in text:  # in an array the record is whole, and what stands around it is what is broken
        found.rejected = [one for one in found.rejected if one.reason != "duplicate"]
        assert found.rejected
        return
    rejected = rejection(found)
    assert rejected.reason == "unreadable_record"
    assert rejected.raw[:20].encode("utf-8") == text[:20].encode("utf-8", "backslashreplace")


@pytest.mark.parametrize("format", ["jsonl", "parquet"])  # as arrays: all of them in one file, below
@pytest.mark.parametrize(("value", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_every_hostile_record_is_named(hostile: Folder, value: Any, reason: str, format: str) -> None:
    if format == "parquet":
        source = parquet(hostile, [json.loads(GOOD), value, json.loads(LAST)])
    else:
        source = hostile.source(f"{GOOD}\n{json.dumps(value)}\n{LAST}\n", "train.jsonl")
    rejected = rejection(curated(hostile, source))
    assert rejected.reason == reason, rejected.detail
    if format != "parquet":
        assert rejected.raw == json.dumps(value)


def parquet(folder: Folder, values: list[Any]) -> Source:
    """The records as a Parquet file; a value that no column can hold beside the others skips the test."""
    if not isinstance(values[1], dict) or not values[1]:
        pytest.skip("a table's row is always an object")
    file = folder.root / "train.parquet"
    try:
        table = pyarrow.Table.from_pylist(values, schema=pyarrow.Table.from_pylist([values[1], values[0], values[2]]).schema)
        rows = table.to_pylist()
    except (pyarrow.ArrowException, TypeError):
        pytest.skip("a column holds values of one type")
    if any(rows[at].get(key) != value for at in range(3) for key, value in values[at].items()):
        pytest.skip("a column holds values of one type")
    pyarrow.parquet.write_table(table, file)
    return Source(name="mine", path=file, images=folder.images)


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_all_of_them_in_one_file(hostile: Folder, format: str) -> None:
    broken = [text for text in BROKEN_JSON.values() if GOOD not in text]
    texts = [*broken, *NO_JSON_VALUE.values(), *(json.dumps(value) for value, _ in HOSTILE.values())]
    texts = [GOOD, *(one for at, text in enumerate(texts) for one in (text, json.dumps(record(f"Filler {at}?", images="0.png"))))]
    content = "[" + ",\n".join(texts) + "]" if format == "json" else "\n".join(texts)
    found = curated(hostile, hostile.source(content, f"train.{format}"))
    assert found.num_read == len(texts)
    num_hostile = len(texts) // 2
    assert len(found.rejected) == num_hostile >= 60
    assert [question.text for question in found.questions] == ["Good?", *(f"Filler {at}?" for at in range(num_hostile))]
    reasons = [one.reason for one in found.rejected][-len(HOSTILE) :]
    assert reasons == [reason for _, reason in HOSTILE.values()]


def test_a_damaged_parquet_file_loses_no_row(hostile: Folder) -> None:
    file = hostile.root / "train.parquet"
    rows = [record(f"Question {number}? {os.urandom(40)[0]} {hash(str(number))}", images="0.png") for number in range(400)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file, row_group_size=100, compression="zstd")
    source = Source(name="mine", path=file, images=hostile.images)
    assert len(curated(hostile, source).questions) == 400
    data = bytearray(file.read_bytes())
    start = pyarrow.parquet.ParquetFile(file).metadata.row_group(1).column(0).data_page_offset
    data[start + 200 : start + 1200] = b"\xff" * 1000
    file.write_bytes(data)
    found = curated(hostile, source)
    assert found.num_read == 400
    assert len(found.rejected) >= 100
    assert {one.reason for one in found.rejected} == {"unreadable_record"}
    assert "damaged Parquet file" in found.rejected[0].detail


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 nothing PAR1", b"[1, 2]"])
def test_a_file_that_is_no_parquet_is_refused(hostile: Folder, content: bytes) -> None:
    file = hostile.root / "train.parquet"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"train\.parquet"):
        list(curate([Source(name="mine", path=file, images=hostile.images)], hostile.checks()))


def test_a_foreign_database_is_refused(hostile: Folder, tmp_path: Path) -> None:
    (tmp_path / "a.duckdb").write_bytes(b"\0" * 8 + b"DUCK" + b"\0" * 5000)
    with pytest.raises(ValueError, match=r"a\.duckdb"):
        list(curate([Source(name="mine", path=tmp_path / "a.duckdb", images=hostile.images)], hostile.checks()))
