"""Records out of Parquet files and out of databases of ours, row by row.

A row has no text of its own, so its raw form is the row spelled as JSON; bytes in it are described, not spelled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from r1vl_core.config import Source
from r1vl_core.data import database
from r1vl_core.data.elements import Element
from r1vl_core.records import Question

DATABASES = ("key_steps.duckdb", "curated.duckdb")
"""What is looked for in a folder of ours; the first has all that the second has, and key steps."""

SLICE_ROWS = 2048
"""Rows of a table in a slice."""


def file_of(source: Source) -> Path:
    """The file that a source means: itself, or the database in a folder of ours. Raises ValueError for a folder without one."""
    if not source.path.is_dir():
        return source.path
    found = next((source.path / name for name in DATABASES if (source.path / name).is_file()), None)
    if found is None:
        raise ValueError(f"source {source.name}: {source.path} is not a file, and a folder without {' or '.join(DATABASES)}; name the file")
    return found


def check_table(path: Path, kind: str) -> None:
    """Raises ValueError when a file is no Parquet file, or no database of ours."""
    row_marks(path, kind)


def row_marks(path: Path, kind: str) -> list[int]:
    """Row numbers at which slices of a table begin, and at last the number of its rows. Raises ValueError."""
    num_rows = database.counts(path).num_accepted if kind == "duckdb" else _parquet(path).metadata.num_rows
    return [*range(0, num_rows, SLICE_ROWS), num_rows] if num_rows else [0, 0]


def read_rows(path: Path, kind: str, start: int, end: int) -> Iterator[Element]:
    """The rows `start` to `end`. Where a Parquet file is damaged, each row that cannot be read is an element with the problem."""
    if kind == "duckdb":
        yield from (_spelled(_fields(question)) for question in database.read_some_questions(path, start, end - start))
        return
    num_read = 0
    try:
        for row in _parquet_rows(_parquet(path), start, end):
            yield _spelled(row)
            num_read += 1
    except (pyarrow.ArrowException, OSError) as error:
        problem = f"damaged Parquet file: {' '.join(str(error).split())[:200]}"
        yield from (Element("", problem=problem) for _ in range(end - start - num_read))


def _parquet(path: Path) -> pyarrow.parquet.ParquetFile:
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} is no whole Parquet file ({' '.join(str(error).split())[:200]}); write it again") from None


def _parquet_rows(file: pyarrow.parquet.ParquetFile, start: int, end: int) -> Iterator[dict[str, Any]]:
    first = 0
    for group in range(file.metadata.num_row_groups):
        stop = first + file.metadata.row_group(group).num_rows
        if first < end and stop > start:
            at = first
            for batch in file.iter_batches(SLICE_ROWS, row_groups=[group]):
                wanted = batch.slice(max(start - at, 0), max(min(end, at + len(batch)) - max(start, at), 0))
                yield from _values(wanted)
                at += len(batch)
                if at >= end:
                    return
        first = stop


def _values(batch: pyarrow.RecordBatch) -> list[dict[str, Any]]:
    """The rows of a batch. A column that Python cannot hold (dates beyond its years, time zones that nobody knows) is only described."""
    try:
        return batch.to_pylist()
    except (OverflowError, ValueError, LookupError):
        columns = dict(zip(batch.schema.names, map(_column, batch.columns), strict=True))
        return [{name: values[row] for name, values in columns.items()} for row in range(len(batch))]


def _column(column: pyarrow.Array) -> list[Any]:
    try:
        return column.to_pylist()
    except (OverflowError, ValueError, LookupError):
        return [f"<{column.type}>"] * len(column)


def _fields(question: Question) -> dict[str, Any]:
    return {
        "id": question.id,
        "source_id": question.source_id,
        "image": question.image,
        "question": question.text,
        "choices": [list(choice) for choice in question.choices],
        "answer": question.answer,
        "reference_path": question.reference_path,
        "key_steps": [list(forms) for forms in question.key_steps],
    }


def _spelled(row: dict[str, Any]) -> Element:
    return Element(json.dumps(row, ensure_ascii=False, default=_described), row)


def _described(value: Any) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)
