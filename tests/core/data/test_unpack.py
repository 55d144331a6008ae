"""Pictures inside records: taken out into a folder, the records are those of somebody who keeps them in files."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from r1vl_core.config import Source
from r1vl_core.data.curate import curate
from r1vl_core.data.unpack import unpack
from tests.core.data.samples import Curated, Folder, encoded, picture, record

ONE, OTHER = encoded(picture(1)), encoded(picture(2), "JPEG")


def uri(data: bytes, kind: str = "png") -> str:
    """A picture as a `data:` URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def curated(folder: Folder, out: Path) -> Curated:
    """Curate what was unpacked."""
    source = Source(name="mine", path=out / "records.jsonl", images=out / "images")
    return Curated.of(curate([source], folder.checks(image_roots={"mine": source.images})))


def parquet(folder: Folder, rows: list[dict[str, Any]]) -> Path:
    """The rows as a Parquet file."""
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder.root / "train.parquet")
    return folder.root / "train.parquet"


@pytest.mark.parametrize("field", ["image", "images"])
@pytest.mark.parametrize(
    "wrap", [lambda data: {"bytes": data, "path": "a.png"}, lambda data: {"bytes": data, "path": None}, lambda data: data]
)
def test_pictures_in_parquet_are_those_of_a_folder(folder: Folder, field: str, wrap: Any) -> None:
    folder.picture("1.png", ONE)
    folder.picture("2.jpg", OTHER)
    kept = folder.source([record("One?", images="1.png"), record("Two?", images="2.jpg")])
    expected = Curated.of(curate([kept], folder.checks()))
    shown = [wrap(data) if field == "image" else [wrap(data)] for data in (ONE, OTHER)]
    rows = [{"messages": record(text)["messages"], field: one} for text, one in zip(("One?", "Two?"), shown, strict=True)]
    assert unpack(parquet(folder, rows), folder.root / "out") == (2, 2)
    found = curated(folder, folder.root / "out")
    assert [one.id for one in found.questions] == [one.id for one in expected.questions]
    assert [one.image_sha256 for one in found.questions] == [one.image_sha256 for one in expected.questions]


@pytest.mark.parametrize("name", ["train.json", "train.jsonl"])
def test_data_uris_are_written_once_and_what_is_broken_stays_to_be_named(folder: Folder, name: str) -> None:
    parts = [{"type": "image_url", "image_url": {"url": uri(OTHER)}}, {"type": "text", "text": "In parts?"}]
    texts = [
        json.dumps(record("One?", images=uri(ONE))),
        json.dumps(record("Again?", images=[uri(ONE)])),
        json.dumps({"messages": record(user=parts)["messages"]}),
        json.dumps(record("Broken base64?", images="data:image/png;base64,####")),
        json.dumps(record("No picture?", images=uri(b"hello"))),
        "7",
        '{"messages": oops}',
    ]
    file = folder.root / name
    file.write_text("[" + ",\n".join(texts) + "]" if name == "train.json" else "\n".join(texts))
    assert unpack(file, folder.root / "out") == (7, 4)
    assert len(list((folder.root / "out" / "images").iterdir())) == 3
    found = curated(folder, folder.root / "out")
    assert [one.text for one in found.questions] == ["One?", "Again?", "In parts?"]
    reasons = {4: "unreadable_record", 5: "broken_image", 6: "unreadable_record", 7: "unreadable_record"}
    assert {one.row: one.reason for one in found.rejected} == reasons


def test_a_picture_inside_a_record_is_named_with_the_cure(folder: Folder) -> None:
    rows = [record("One?", images=uri(ONE)), record("Two?", images={"bytes": "iVBOR", "path": None}), record("Three?", images="0.png")]
    folder.picture("0.png")
    found = Curated.of(curate([folder.source(rows)], folder.checks()))
    assert [one.reason for one in found.rejected] == ["unreadable_record"] * 2
    assert all("`r1vl unpack FILE FOLDER`" in one.detail for one in found.rejected)


def test_it_is_whole_or_absent(folder: Folder) -> None:
    out = folder.root / "out"
    broken = folder.root / "train.parquet"
    broken.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"train\.parquet is no whole Parquet file"):
        unpack(broken, out)
    assert sorted(path.name for path in folder.root.iterdir()) == ["images", "train.parquet"]
    out.mkdir()
    with pytest.raises(ValueError, match=r"none\.parquet: no such file; give the file whose records hold the pictures"):
        unpack(folder.root / "none.parquet", folder.root / "none")
    with pytest.raises(ValueError, match="exists already; give a new folder"):
        unpack(parquet(folder, [record()]), out)


def test_bare_base64_is_a_picture_too(folder: Folder) -> None:
    folder.source([record("One?", images=base64.b64encode(encoded(picture(1, (128, 128)))).decode())])
    assert unpack(folder.root / "train.json", folder.root / "out") == (1, 1)
    assert len(curated(folder, folder.root / "out").questions) == 1
