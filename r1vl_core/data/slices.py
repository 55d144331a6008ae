"""Slices of a source, which workers read on their own: the very records that one reader of the whole file would find.

Where a slice is not a plain list of records, the exact reader (`json_stream`) takes over at its first byte and goes on until it stands
at a later slice's first byte. So which records there are depends on the file alone, never on the number of workers.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from r1vl_core.data import json_stream
from r1vl_core.data.elements import Element
from r1vl_core.data.plain_records import read_plain

_BUFFER_BYTES = 1 << 16
_KEY = re.compile(r"\{[ \t\r\n]*+\"\w{1,64}\"")
_OPENING = re.compile(r"[ \t\r\n]*+\[[ \t\r\n]*+")
_BETWEEN = re.compile(r"[ \t\r\n]*+,[ \t\r\n]*+")
_END = re.compile(r"[ \t\r\n]*+\][ \t\r\n]*+")


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


def read_slice(part: Slice) -> list[Element] | None:
    """The elements of a slice; None where only those that follow can tell where its last record ends (see `Mended`)."""
    if part.format in ("parquet", "duckdb"):
        from r1vl_core.data import tables  # brings DuckDB, Polars and Arrow, half a second that workers on JSON need not spend

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


@contextmanager
def _lines(part: Slice) -> Iterator[TextIO]:
    """A slice of JSON lines as a file of its own: a line without an end is never whole in memory."""
    with part.path.open("rb", buffering=0) as file:
        file.seek(part.start)
        bounded = io.BufferedReader(_Bounded(file, part.end - part.start), _BUFFER_BYTES)
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
