"""Readers: a user's training file, record by record, in bounded memory.

One JSON array (Mulberry-SFT, ShareGPT, R1-VL-10K), JSON lines, Parquet, and databases of ours. A reader never stops at a bad record: it
names the record's problem, keeps its text, and goes on with the next one. Only a file that cannot be any of these is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Literal, TextIO

from r1vl_core.config import Source
from r1vl_core.data import tables
from r1vl_core.data.elements import Element, record_of
from r1vl_core.data.json_stream import decode_line, read_array, read_lines
from r1vl_core.records import RawRecord

_HEAD_BYTES = 65_536
_SUFFIXES: dict[str, Literal["jsonl", "parquet", "duckdb"]] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet", ".duckdb": "duckdb",
}  # fmt: skip


_NO_TEXT = (
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"BZh", "compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "compressed with xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard; unpack it first"),
    (b"PK\x03\x04", "a ZIP archive; unpack it first"),
    (b"ARROW1", "an Arrow file; write its table as Parquet"),
    (b"version https://git-lfs", "a pointer of Git LFS and not the file itself; fetch it (git lfs pull)"),
    (b"\xff\xfe\0\0", "in UTF-32; save it as UTF-8"),
    (b"\0\0\xfe\xff", "in UTF-32; save it as UTF-8"),
    (b"\xff\xfe", "in UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "in UTF-16; save it as UTF-8"),
)
"""How files begin that are no text of ours, and the cure."""


_URL = re.compile(r"(?:^|/)[a-z][a-z0-9+]{1,9}:/")  # a path has lost the second slash of "s3://bucket"
_NO_DOWNLOAD = "a URL is no path, and nothing is downloaded; copy the files here, or mount the store (infra/README.md)"


def read_records(source: Source) -> Iterator[RawRecord]:
    """The records of one source in the file's order; `row` counts from 1 and every malformed record has a row of its own.

    Raises ValueError (at the call, not at the first record) when the file or the image folder is missing or cannot be read, and
    when the file is in none of the formats.
    """
    check_source(source)
    return (record_of(source.name, row, element) for row, element in enumerate(read_elements(source), 1))


def check_source(source: Source) -> None:
    """Raises ValueError naming the source, the path and the cure when its file or its image folder is not there or in no known format."""
    if _URL.search(str(source.path)) or _URL.search(str(source.images)):
        raise ValueError(f"source {source.name}: {source.path}, {source.images}: {_NO_DOWNLOAD}")
    try:
        is_there, has_images = source.path.exists(), source.images.is_dir()
    except OSError as error:  # a folder that is closed to us, a name longer than any file can have
        raise ValueError(f"source {source.name}: {error.filename!s:.200}: cannot be read: {error.strerror}") from None
    if not is_there:
        raise ValueError(f"source {source.name}: {source.path}: no such file; set this source's `path` to its JSON or JSON lines file")
    path = tables.file_of(source)
    if not path.is_file():
        raise ValueError(f"source {source.name}: {path} is not a file; set this source's `path` to its JSON or JSON lines file")
    if not has_images:
        raise ValueError(f"source {source.name}: {source.images}: no such folder; set this source's `images` to the folder of its pictures")
    kind = format_of(source)
    if kind in ("parquet", "duckdb"):
        tables.check_table(path, kind)


def check_end(source: Source) -> None:
    """Raises ValueError for a text that was cut off on its way here; in its records, all that it lacks looks like one broken record."""
    path, kind = tables.file_of(source), format_of(source)
    if kind == "parquet" or kind == "duckdb":  # these say so themselves
        return
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _HEAD_BYTES))
        tail = file.read()
    where, cure = f"source {source.name}: {path} does not end with", "fetch the whole file again, or take its broken end away"
    if kind == "json" and not tail.rstrip().endswith(b"]"):
        raise ValueError(f"{where} the ] of its array: it was cut off, or something else follows; {cure}")
    if kind == "jsonl" and not tail.endswith(b"\n") and not tail.endswith(b"}"):
        raise ValueError(f"{where} a whole record: it was cut off; {cure}")


def format_of(source: Source) -> Literal["json", "jsonl", "parquet", "duckdb"]:
    """What a source's file is: what the source says, or by its name and, for any other name, its first bytes. Raises ValueError."""
    path = tables.file_of(source)
    where = f"source {source.name}: {path}"
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise ValueError(f"{where}: cannot be read: {error.strerror}") from None
    for mark, cure in _NO_TEXT:
        if head.startswith(mark):
            raise ValueError(f"{where} is {cure}")
    if len(head) >= 8 and not (any(head[0:8:2]) and any(head[1:8:2])):
        raise ValueError(f"{where} is in UTF-16 or UTF-32; save it as UTF-8")
    text = head.decode("utf-8-sig", "surrogateescape").lstrip()
    if not text:
        raise ValueError(f"{where} is empty; a JSON array or JSON lines are expected")
    if source.format == "json" and text[0] != "[":
        raise ValueError(f"{where} is no JSON array: it begins with {text[:20]!a}; set this source's `format`")
    if source.format != "auto":
        return source.format
    by_name = _SUFFIXES.get(path.suffix.lower())
    if by_name in ("parquet", "duckdb"):
        return by_name
    if head.startswith(b"PAR1"):
        return "parquet"
    if head[8:12] == b"DUCK":
        return "duckdb"
    if by_name is None and text[0] not in "[{":
        raise ValueError(f"{where} is neither a JSON array nor JSON lines, nor Parquet: it begins with {text[:20]!a}")
    if text[0] == "{" and _runs_over_lines(text, whole=len(head) < _HEAD_BYTES):
        raise ValueError(f"{where} begins with one JSON object over several lines; write an array of the records, or each in one line")
    return by_name or ("json" if text[0] == "[" else "jsonl")


def _runs_over_lines(text: str, *, whole: bool) -> bool:
    """Does the first JSON value, of which `text` holds the beginning or the `whole`, go on behind a line's end? Then the file holds no
    records line by line, however many of them are broken."""
    try:
        end = json.JSONDecoder().raw_decode(text)[1]
    except json.JSONDecodeError as error:
        # As far as it was read it is JSON, and it goes on behind what was read.
        is_cut = not whole and (error.pos >= len(text) - 16 or error.msg.startswith("Unterminated string"))
        end = error.pos if is_cut else 0
    except (ValueError, RecursionError):
        return False
    return "\n" in text[:end]


def read_elements(source: Source) -> Iterator[Element]:
    """The elements of one source as they stand in its file, not yet taken for records. Raises ValueError as `read_records`."""
    path, kind = tables.file_of(source), format_of(source)
    if kind == "parquet" or kind == "duckdb":
        yield from tables.read_rows(path, kind, 0, tables.row_marks(path, kind)[-1])
        return
    with _open(source) as file:
        yield from read_array(file) if kind == "json" else read_lines(file, decode_line)


def _open(source: Source) -> TextIO:
    # Bytes that are not UTF-8 become lone surrogates, which `interpret` names; one bad byte must not end the whole file.
    return source.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n")
