"""Sources cut into slices, and judged slice by slice, in the order of their files.

A slice of a JSON array is cut where a record ends and one seems to begin. Inside a string that cannot be: its quotes are escaped there.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import BinaryIO

from r1vl_core.config import Source
from r1vl_core.data import tables
from r1vl_core.data.elements import record_of
from r1vl_core.data.readers import check_source, format_of
from r1vl_core.data.shards import MapShards
from r1vl_core.data.slices import Mended, Slice
from r1vl_core.data.text_checks import Candidate, Judged, TextChecks, judge_records, judge_slice

SLICE_BYTES = 1 << 20
"""Bytes of JSON in a slice, or a little more: it ends with a record."""

_PEEK_BYTES = 1 << 16
_LONGEST_CUT = 256
_MAX_SLICE_BYTES = 1 << 23
_LINE_END = re.compile(b"\n")
# The keys that records begin with in the known formats; a file's own first key is looked for too.
_KEYS = "messages|conversations|images?|id|image_path|problem|key_steps|source|system"
_FIRST_KEY = re.compile(rb'\s*\[\s*\{\s*"(\w{1,64})"\s*:')
_BOM = b"\xef\xbb\xbf"
_MIN_SLICES = 6
"""Slices from which processes are worth their start."""


def judge_sources(sources: Sequence[Source], checks: TextChecks, map_shards: MapShards) -> Iterator[list[Judged]]:
    """Batches of records, in the order of the sources and of their files, each record a candidate or rejected.

    The same records in the same order whoever maps. Memory holds a few slices a worker. Raises ValueError as `read_records`.
    """
    for parts in [cut(source) for source in sources]:
        yield from _judge_slices(parts, checks, map_shards if len(parts) >= _MIN_SLICES else map)


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


def _judge_slices(parts: Sequence[Slice], checks: TextChecks, map_shards: MapShards) -> Iterator[list[Judged]]:
    num_rows = num_done = 0
    for at, judged in enumerate(map_shards(partial(judge_slice, checks=checks), parts)):
        if at < num_done:
            continue  # a broken record before it reached into it
        num_done = at + 1
        if judged is None:
            mended = Mended(parts[at:])
            judged = judge_records((record_of(parts[at].source, row, element) for row, element in enumerate(mended, 1)), checks)
            num_done = at + mended.num_taken
        yield [_moved(one, num_rows) for one in judged]
        num_rows += len(judged)


def _moved(one: Judged, num_rows: int) -> Judged:
    return one._replace(row=one.row + num_rows) if isinstance(one, Candidate) else replace(one, row=one.row + num_rows)


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
