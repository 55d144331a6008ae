"""The record of a teacher's work beside the key steps it made: calls with their costs, what fell, and how each question came out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars

from r1vl_core.config import Teacher
from r1vl_core.data.named_sql import named_sql
from r1vl_core.data.teacher.lesson import Lesson
from r1vl_core.records import Question

SCHEMA_VERSION = 1
"""Raised when a column changes its name or meaning."""

_BATCH_ROWS = 2048
_TEXT, _INT = polars.String(), polars.Int64()
_COLUMNS: dict[str, dict[str, polars.DataType]] = {
    "teacher_calls": {
        **dict.fromkeys(("position", "number"), _INT),
        **dict.fromkeys(("question_id", "source", "prompt", "prompt_digest", "model", "input_digest", "answer", "status"), _TEXT),
        **dict.fromkeys(("tokens_in", "tokens_out"), _INT),
        **dict.fromkeys(("cost", "seconds"), polars.Float64()),
        "attempts": _INT,
        "remembered": polars.Boolean(),
    },
    "teacher_drops": {**dict.fromkeys(("position", "number"), _INT), **dict.fromkeys(("question_id", "core", "form", "reason"), _TEXT)},
    "teacher_outcomes": {"position": _INT, **dict.fromkeys(("question_id", "source", "reason", "detail"), _TEXT)},
}


class CallLog:
    """Writes lessons as they end, in any order; made by `writing`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, dials: Teacher) -> None:
        self._connection, self._dials = connection, dials
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _COLUMNS}

    def release(self) -> None:
        """Let go of the connection, as `AnswerCache.release`."""
        del self._connection

    def add(self, position: int, question: Question, lesson: Lesson) -> None:
        """Note the lesson on the question at `position`."""
        identity, source = question.id, question.source
        for number, call in enumerate(lesson.calls):
            key, answer = call.key, call.answer
            spent = answer.tokens.asked, answer.tokens.answered, answer.tokens.cost(self._dials), answer.seconds, answer.attempts
            what = (key.prompt, key.prompt_digest, key.model, key.input_digest, answer.text, answer.finish)
            self._rows["teacher_calls"].append((position, number, identity, source, *what, *spent, call.cached))
        drops = [(position, number, identity, one.core, one.form, one.reason) for number, one in enumerate(lesson.dropped)]
        self._rows["teacher_drops"] += drops
        self._rows["teacher_outcomes"].append((position, identity, source, lesson.reason, lesson.detail))
        if sum(map(len, self._rows.values())) >= _BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Insert what was noted."""
        for table, rows in self._rows.items():
            self._connection.register("batch", polars.DataFrame(rows, schema=_COLUMNS[table], orient="row"))
            self._connection.execute(named_sql(__package__, "calls.sql")[f"insert_{table}"])
            self._connection.unregister("batch")
            rows.clear()


@contextmanager
def writing(path: Path, dials: Teacher) -> Iterator[CallLog]:
    """A new database for the record of one job, whole when the block ends well. Raises OSError when it cannot be written."""
    steps = named_sql(__package__, "calls.sql")
    try:
        with duckdb.connect(str(path)) as connection:
            connection.begin()
            connection.execute(steps["calls_tables"])
            connection.execute(steps["calls_insert_version"], [SCHEMA_VERSION])
            log = CallLog(connection, dials)
            try:
                yield log
                log.flush()
            finally:
                log.release()
            connection.execute(steps["calls_views"])
            connection.commit()
            connection.execute("CHECKPOINT")
    except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.TransactionException) as error:
        raise OSError(f"cannot write {path}: {error}") from error


def calls_digest(path: Path) -> str:
    """SHA-256 of what was asked, answered and dropped, whatever it cost and however long it took."""
    with duckdb.connect(str(path), read_only=True) as connection:
        ((digest,),) = connection.execute(named_sql(__package__, "calls.sql")["calls_digest"]).fetchall()
        return str(digest)
