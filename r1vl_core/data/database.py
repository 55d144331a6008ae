"""Curated questions in DuckDB: one file, written once, read by many.

A database is built by one writer under its final name inside a folder that nobody reads yet (the store renames the folder), then
checkpointed and closed: no write-ahead file stays behind. Everybody else opens it read-only. Two builds of the same rows differ in
their bytes, so identity is `content_digest`, never a hash of the file. The SQL stands in `schema.sql` and `steps.sql`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow

from r1vl_core.config import Source
from r1vl_core.data.named_sql import named_sql
from r1vl_core.records import SCHEMA_VERSION, Question, Rejected, SourceCount

TABLES = ("meta", "sources", "questions", "reasoning_paths", "key_steps", "rejected")
"""Every table, in the order their digests are joined."""

_BATCH_ROWS = 8192
_TEXT, _NUMBER = pyarrow.string(), pyarrow.int32()
_CHOICES = pyarrow.list_(pyarrow.struct({"letter": _TEXT, "text": _TEXT}))
# The columns of a batch are named and typed here, so that one of empty lists has the right types.
_COLUMNS: dict[str, dict[str, Any]] = {
    "sources": {"position": _NUMBER, "name": _TEXT, "file": _TEXT, "licence": _TEXT, "weight": pyarrow.float64()},
    "questions": {
        "position": _NUMBER,
        **dict.fromkeys(("id", "source", "image", "image_sha256", "text"), _TEXT),
        "choices": _CHOICES,
        **dict.fromkeys(("answer", "source_id"), _TEXT),
    },
    "reasoning_paths": {"position": _NUMBER, "question_id": _TEXT, "text": _TEXT},
    "key_steps": {"position": _NUMBER, "question_id": _TEXT, "number": _NUMBER, "forms": pyarrow.list_(_TEXT)},
    "rejected": {"position": _NUMBER, "source": _TEXT, "row": pyarrow.int64(), **dict.fromkeys(("reason", "detail", "raw"), _TEXT)},
}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows a database holds; accepted and rejected together are the records that were read.

    >>> Counts(num_accepted=2, num_rejected=1, num_key_steps=0, rejected_by_reason={"duplicate": 1}).num_read
    3
    """

    num_accepted: int
    num_rejected: int
    num_key_steps: int
    accepted_by_source: dict[str, int] = field(default_factory=dict)
    rejected_by_reason: dict[str, int] = field(default_factory=dict)

    @property
    def num_read(self) -> int:
        """Records read: every one of them became a question or a rejected row."""
        return self.num_accepted + self.num_rejected


def write_curated(path: Path, outcomes: Iterable[Question | Rejected], sources: Sequence[Source]) -> None:
    """Write a new database: questions and rejected rows, each in the order given, sources without their folders.

    Memory holds one batch of outcomes, however many there are.
    Raises ValueError when `path` exists already, OSError when it cannot be written (no permission, disk full); then nothing is left.
    """
    rows = [(position, source.name, source.path.name, source.licence, source.weight) for position, source in enumerate(sources)]
    _write(path, outcomes, rows)


def write_key_steps(path: Path, questions: Iterable[Question], rejected: Iterable[Rejected] = ()) -> None:
    """Write a new database of questions with their key steps; `rejected` are those whose extraction failed. Raises as `write_curated`."""
    _write(path, chain(_with_key_steps(questions), rejected), [])


def read_questions(path: Path) -> list[Question]:
    """All questions in stored order, with their reference paths and, where there are any, key steps. Raises ValueError."""
    with _reading(path) as connection:
        return list(_questions(connection))


def read_some_questions(path: Path, start: int, num: int) -> list[Question]:
    """`num` questions in stored order, from the `start`-th on, as `read_questions`. Raises ValueError."""
    with _reading(path) as connection:
        return _questions_from(connection, start, num)


@dataclass(frozen=True, slots=True)
class Found:
    """Questions that an id means: the positions of all of them, the first few themselves, and whether it is their whole id.

    >>> Found((7,), (), is_whole=True).positions
    (7,)
    """

    positions: tuple[int, ...]
    first: tuple[Question, ...]
    is_whole: bool


def find_questions(path: Path, wanted: str, num_shown: int = 4) -> Found:
    """The question with an id, else those that their sources call so, else those whose ids begin so. Raises ValueError."""
    with _reading(path) as connection:
        rows = connection.execute(_step("find_questions"), {"wanted": wanted}).fetchall()
        first = [_questions_from(connection, position, 1)[0] for position, _ in rows[:num_shown]]
    return Found(tuple(position for position, _ in rows), tuple(first), any(is_whole for _, is_whole in rows))


def iterate(path: Path) -> Iterator[Question | Rejected]:
    """All questions, then all rejected rows, in stored order and in bounded memory. Raises ValueError."""
    with _reading(path) as connection:
        yield from _questions(connection)
        rows = connection.cursor().execute(_step("read_rejected"))
        while batch := rows.fetchmany(_BATCH_ROWS):
            yield from (Rejected(*row) for row in batch)


def read_rejected(path: Path) -> list[Rejected]:
    """All rejected rows in stored order. Raises ValueError."""
    with _reading(path) as connection:
        return [Rejected(*row) for row in connection.execute(_step("read_rejected")).fetchall()]


def counts(path: Path) -> Counts:
    """Totals, accepted questions by source and rejected rows by reason. Raises ValueError."""
    with _reading(path) as connection:
        num_accepted, num_rejected, num_key_steps = _one(connection, "totals")
        by_source = dict(connection.execute(_step("accepted_by_source")).fetchall())
        by_reason = dict(connection.execute(_step("rejected_by_reason")).fetchall())
        return Counts(num_accepted, num_rejected, num_key_steps, by_source, by_reason)


def source_counts(path: Path) -> list[SourceCount]:
    """Every source, in the preset's order. Raises ValueError."""
    with _reading(path) as connection:
        return [SourceCount(*row) for row in connection.execute(_step("source_counts")).fetchall()]


def query(path: Path, sql: str) -> polars.DataFrame:
    """The rows of a SELECT on a database; it is open read-only and no other file can be reached. Raises ValueError."""
    with _reading(path) as connection:
        try:
            relation = connection.sql(sql)
            return polars.DataFrame() if relation is None else relation.pl()
        except duckdb.Error as error:
            raise ValueError(f"query on {path.name}: {error}") from None


def content_digest(path: Path) -> str:
    """SHA-256 of a database's rows in stored order: equal for equal contents, whatever the file's bytes. Raises ValueError."""
    with _reading(path) as connection:
        digests = [f"{table} {_one(connection, f'digest_{table}')[0]}" for table in TABLES]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _write(path: Path, outcomes: Iterable[Question | Rejected], sources: list[tuple[Any, ...]]) -> None:
    if path.exists():
        raise ValueError(f"{path} exists already; a database is written once, under a new name")
    try:
        with duckdb.connect(str(path)) as connection:
            # One transaction: whoever opens the file of a killed build finds no tables, never half of the rows.
            connection.begin()
            _fill(connection, outcomes, sources)
            connection.commit()
            connection.execute("CHECKPOINT")
    except BaseException as error:
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".wal").unlink(missing_ok=True)
        if isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException | duckdb.TransactionException):
            raise OSError(f"cannot write {path}: {error}") from error
        raise


def _fill(connection: duckdb.DuckDBPyConnection, outcomes: Iterable[Question | Rejected], sources: list[tuple[Any, ...]]) -> None:
    connection.execute(_step("tables"))
    connection.execute(_step("insert_meta"), [SCHEMA_VERSION])
    _insert(connection, "sources", sources)
    iterator, num_questions, num_rejected = iter(outcomes), 0, 0
    while batch := list(islice(iterator, _BATCH_ROWS)):
        questions = [one for one in batch if isinstance(one, Question)]
        rejected = [one for one in batch if isinstance(one, Rejected)]
        _insert_questions(connection, num_questions, questions)
        rows = [(num_rejected + i, r.source, r.row, r.reason, r.detail, r.raw) for i, r in enumerate(rejected)]
        _insert(connection, "rejected", rows)
        num_questions += len(questions)
        num_rejected += len(rejected)
    connection.execute(_step("views"))


def _insert_questions(connection: duckdb.DuckDBPyConnection, start: int, batch: Sequence[Question]) -> None:
    rows = [(start + i, q.id, q.source, q.image, q.image_sha256, q.text, q.choices, q.answer, q.source_id) for i, q in enumerate(batch)]
    _insert(connection, "questions", rows)
    _insert(connection, "reasoning_paths", [(start + i, q.id, q.reference_path) for i, q in enumerate(batch) if q.reference_path])
    steps = [(start + i, q.id, number, list(forms)) for i, q in enumerate(batch) for number, forms in enumerate(q.key_steps)]
    _insert(connection, "key_steps", steps)


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[Any, ...]]) -> None:
    """Insert rows as an Arrow table: some forty times faster a row than one statement each."""
    if not rows:
        return
    columns = zip(_COLUMNS[table].items(), zip(*rows, strict=True), strict=True)
    connection.register("batch", pyarrow.table({name: pyarrow.array(values, kind) for (name, kind), values in columns}))
    connection.execute(_step(f"insert_{table}"))
    connection.unregister("batch")


def _with_key_steps(questions: Iterable[Question]) -> Iterator[Question]:
    for question in questions:
        assert question.key_steps, f"question {question.id} has no key steps; it belongs to the rejected rows"
        yield question


def _questions(connection: duckdb.DuckDBPyConnection) -> Iterator[Question]:
    """All questions in stored order, batch by batch: their positions count from 0 without a gap."""
    for start in count(0, _BATCH_ROWS):
        batch = _questions_from(connection, start, _BATCH_ROWS)
        yield from batch
        if len(batch) < _BATCH_ROWS:
            return


def _questions_from(connection: duckdb.DuckDBPyConnection, start: int, num: int) -> list[Question]:
    rows = connection.execute(_step("read_questions"), {"start": start, "stop": start + num}).fetchall()
    return [_question(row) for row in rows]


def _question(row: tuple[Any, ...]) -> Question:
    *names, choices, answer, source_id, reference_path, key_steps = row
    question_id, source, image, image_sha256, text = names
    return Question(
        id=question_id,
        source=source,
        image=image,
        image_sha256=image_sha256,
        text=text,
        choices=tuple((choice["letter"], choice["text"]) for choice in choices),
        answer=answer,
        reference_path=reference_path,
        key_steps=tuple(tuple(forms) for forms in key_steps or ()),
        source_id=source_id,
    )


@contextmanager
def _reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open read-only, cut off from all other files, and check the schema version."""
    if not path.is_file():
        raise ValueError(f"{path}: no such database; run the stage that makes it")
    try:
        connection = duckdb.connect(str(path), read_only=True, config={"enable_external_access": "false"})
    except duckdb.Error as error:
        raise ValueError(f"{path}: cannot be opened as a DuckDB database; run the stage that makes it again ({error})") from None
    with connection:
        try:
            version = _one(connection, "schema_version")[0]
            if version != SCHEMA_VERSION:
                raise ValueError(
                    f"{path}: schema version {version}, this program reads {SCHEMA_VERSION}; run the stage that makes it again"
                )
            yield connection
        except duckdb.CatalogException:
            raise ValueError(f"{path}: a DuckDB database, but not a whole one of r1vl; run the stage that makes it again") from None
        except duckdb.Error as error:
            raise ValueError(f"{path}: the database is damaged; run the stage that makes it again ({error})") from error


def _one(connection: duckdb.DuckDBPyConnection, step: str) -> tuple[Any, ...]:
    # All rows, though there is one: DuckDB 2 streams, and a result that is not read to its end blocks the next statement.
    (row,) = connection.execute(_step(step)).fetchall()
    return tuple(row)


def _step(name: str) -> str:
    return named_sql(__package__, "schema.sql", "steps.sql")[name]
