"""A source cut into slices that workers read on their own, with the very records that one reader of the whole file would find.

A slice of a JSON array is cut where a record ends and one seems to begin. Inside a string that cannot be: its quotes are escaped there.
Where a slice is not a plain list of records, the exact reader (`json_stream`) takes over at its first byte and goes on until it stands
at a later slice's first byte. So which records there are depends on the file alone, never on the number of workers.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO

from r1vl_core.config import Source
from r1vl_core.data import json_stream, tables
from r1vl_core.data.json_stream import Element
from r1vl_core.data.plain_records import read_plain
from r1vl_core.data.readers import check_source, format_of

SLICE_BYTES = 1 << 20
"""Bytes of JSON in a slice, or a little more: it ends with a record."""

_PEEK_BYTES = 1 << 16
_LONGEST_CUT = 256
_MAX_SLICE_BYTES = 1 << 23
_LINE_END = re.compile(b"\n")
# The keys that records begin with in the known formats; a file's own first key is looked for too.
_KEYS = "messages|conversations|images?|id|image_path|problem|key_steps|source|system"
_FIRST_KEY = re.compile(rb'\s*\[\s*\{\s*"(\w{1,64})"\s*:')
_KEY = re.compile(r"\{[ \t\r\n]*+\"\w{1,64}\"")
_OPENING = re.compile(r"[ \t\r\n]*+\[[ \t\r\n]*+")
_BETWEEN = re.compile(r"[ \t\r\n]*+,[ \t\r\n]*+")
_END = re.compile(r"[ \t\r\n]*+\][ \t\r\n]*+")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Slice:
    """Part of a source: bytes `start` to `end` of a JSON file, or rows `start` to `end` of a table.

    >>> Slice("mine", Path("a.json"), "json", 0, 1048600, is_first=True).is_last
    False
    """

    source: str
    path: Path
    format: Literal["json", "jsonl", "parquet", "duckdb"]
    start: int
    end: int
    is_first: bool = False
    is_last: bool = False


def cut(source: Source) -> list[Slice]:
    """The slices of a source, which together are all of it. Raises ValueError as `read_records` does."""
    check_source(source)
    kind = format_of(source)
    path = tables.file_of(source)
    if kind in ("parquet", "duckdb"):
        marks = tables.row_marks(path, kind)
    else:
        with path.open("rb") as file:
            marks = list(_marks(file, kind))
    last = len(marks) - 2
    return [Slice(source.name, path, kind, *ends, is_first=at == 0, is_last=at == last) for at, ends in enumerate(pairwise(marks))]


def read_slice(part: Slice) -> list[Element] | None:
    """The elements of a slice; None where only those that follow can tell where its last record ends (see `Mended`)."""
    if part.format in ("parquet", "duckdb"):
        return list(tables.read_rows(part.path, part.format, part.start, part.end))
    if part.format == "jsonl":
        with _lines(part) as file:
            return list(json_stream.read_lines(file, _decode_line))
    plain = _plain_elements(_text(part), part)
    if plain is not None:
        return plain
    mended = Mended([part])
    elements = list(mended)
    return None if mended.wants_more and not part.is_last else elements


class Mended:
    """The elements from the first slice's first byte on, read exactly, until the reader stands at the beginning of another slice.

    `num_taken` is then the number of slices read; what follows can be read slice by slice again. `wants_more`: they did not suffice.
    """

    def __init__(self, parts: Iterable[Slice]) -> None:
        self._parts = iter(parts)
        self._is_at_end = False
        self.num_taken = 0
        self.wants_more = False

    def __iter__(self) -> Iterator[Element]:
        first = next(self._parts)
        window = json_stream.Window(self)
        window.text = self._taken(first)
        return json_stream.read_elements(window, from_start=first.is_first, may_stop=lambda: not self._is_at_end)

    def read(self, num_chars: int, /) -> str:
        """The next slice, whole, as if it were so many characters of a file; "" at the end."""
        part = next(self._parts, None)
        if part is None:
            self.wants_more = True
            return ""
        return self._taken(part)

    def _taken(self, part: Slice) -> str:
        self.num_taken += 1
        self._is_at_end = part.is_last
        return _text(part)


def _plain_elements(text: str, part: Slice) -> list[Element] | None:
    at = 0
    if part.is_first:
        opening = _OPENING.match(text)
        if opening is None:
            return None
        at = opening.end()
    elements: list[Element] = []
    while at < len(text):
        at = _add_plain(text, at, elements)
        element, at = json_stream.decode_at(text, at)
        if element is None:
            return None
        elements.append(element)
        between = _BETWEEN.match(text, at)
        if between is None:
            end = _END.fullmatch(text, at)
            return elements if end and part.is_last else None
        at = between.end()
    return None if part.is_last or not elements else elements


def _add_plain(text: str, at: int, elements: list[Element]) -> int:
    """Add the plain records from `at` on, up to one that is not plain or that none seems to follow; where that begins."""
    key = _KEY.match(text, at)
    if key is None:
        return at
    for end in re.compile(rf"\}}([ \t\r\n]*+,[ \t\r\n]*+)(?={re.escape(key[0])})").finditer(text, at):
        raw = text[at : end.start(1)]
        content = read_plain(raw)
        if content is None:
            break
        elements.append(Element(raw, content=content))
        at = end.end()
    return at


def _decode_line(text: str) -> Element:
    content = read_plain(text)
    return json_stream.decode_line(text) if content is None else Element(text, content=content)


def _marks(file: BinaryIO, kind: str) -> Iterator[int]:
    """Where slices begin, and at last the file's end."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(_PEEK_BYTES)
    mark = len(_BOM) if head.startswith(_BOM) else 0
    pattern = _LINE_END if kind == "jsonl" else _record_end(head[mark:])
    yield mark
    while mark < size:
        mark = _search(file, mark + SLICE_BYTES, size, pattern) if kind == "jsonl" else _next_record(file, mark, size, pattern)
        yield mark


def _record_end(head: bytes) -> re.Pattern[bytes]:
    first = _FIRST_KEY.match(head)
    keys = _KEYS.encode() + (b"|" + re.escape(first[1]) if first else b"")
    return re.compile(rb"\}\s{0,64},\s{0,64}(?=\{\s{0,64}\"(?:" + keys + rb")\"\s{0,8}:)")


def _next_record(file: BinaryIO, mark: int, size: int, pattern: re.Pattern[bytes]) -> int:
    """Where the next slice of an array begins. Where no record seems to begin for long, the cut falls anywhere between two characters:
    such a slice is no plain list, and the exact reader reads on over its end."""
    limit = min(mark + _MAX_SLICE_BYTES, size)
    found = _search(file, mark + SLICE_BYTES, limit, pattern)
    file.seek(found)
    while found == limit < size and (byte := file.read(1)) and 0x80 <= byte[0] < 0xC0:
        found = limit = limit + 1
    return found


def _search(file: BinaryIO, at: int, limit: int, pattern: re.Pattern[bytes]) -> int:
    """The end of the first match at or behind `at` that begins before `limit`; `limit` where there is none."""
    while at < limit:
        file.seek(at)
        found = pattern.search(file.read(min(_PEEK_BYTES, limit - at) + _LONGEST_CUT))
        if found and at + found.end() <= limit:
            return at + found.end()
        at += _PEEK_BYTES
    return limit


@contextmanager
def _lines(part: Slice) -> Iterator[TextIO]:
    """A slice of JSON lines as a file of its own: a line without an end is never whole in memory."""
    with part.path.open("rb", buffering=0) as file:
        file.seek(part.start)
        bounded = io.BufferedReader(_Bounded(file, part.end - part.start), _PEEK_BYTES)
        yield io.TextIOWrapper(bounded, encoding="utf-8", errors="surrogateescape", newline="\n")


class _Bounded(io.RawIOBase):
    """The next `num_bytes` of a file."""

    def __init__(self, file: io.RawIOBase, num_bytes: int) -> None:
        self._file, self._left = file, num_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._file.read(min(len(buffer), self._left)) or b""
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)


def _text(part: Slice) -> str:
    # Bytes that are not UTF-8 become lone surrogates, which `interpret` names; one bad byte must not end the whole file.
    with part.path.open("rb") as file:
        file.seek(part.start)
        return file.read(part.end - part.start).decode("utf-8", "surrogateescape")
