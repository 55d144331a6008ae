"""What a policy answered to benchmark questions, with the verdicts and the scores: one DuckDB file an evaluation.

Written once, by one writer, under its final name inside a folder that nobody reads yet; everybody else opens it read-only. Two writings of
the same rows differ in their bytes, so identity is `content_digest`. The tables stand in `responses.sql`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import polars

from r1vl_core.data.named_sql import named_sql

FILE = "responses.duckdb"
"""Its name within an artifact."""

_TEXT, _FLAG, _COUNT = polars.String(), polars.Boolean(), polars.Int32()
_NUMBER = polars.Float64()
_KINDS = {
    "str": _TEXT,
    "str | None": _TEXT,
    "bool": _FLAG,
    "int": _COUNT,
    "int | None": _COUNT,
    "float": _NUMBER,
    "float | None": _NUMBER,
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Who was asked what, and how; `partial` when rows of a benchmark file were left out.

    >>> Evaluation("tiny", "3f2a", "reasoning", {"max_new_tokens": 64}, datetime(2026, 11, 23), True, None, 40).row_limit
    40
    """

    policy: str
    policy_digest: str
    prompt: str
    settings: Mapping[str, Any]
    started: datetime
    partial: bool
    where_clause: str | None
    row_limit: int | None


@dataclass(frozen=True, slots=True)
class AskedRow:
    """A row of a benchmark file; `group_key` names the rows it hangs together with (a seed question, a set of figures, a picture).

    >>> AskedRow("mme", "0", "OCR", "Is it so?", "Yes", "OCR/1.jpg").group_key
    'OCR/1.jpg'
    """

    benchmark: str
    row_index: str
    category: str
    question: str
    answer: str
    group_key: str | None


@dataclass(frozen=True, slots=True)
class ResponseRow:
    """One response to a row; `num_tokens` is None where a service does not count them, `truncated` says that it never ended.

    >>> ResponseRow("mme", "0", 0, "The final answer is: Yes", 7, False).sample
    0
    """

    benchmark: str
    row_index: str
    sample: int
    response: str
    num_tokens: int | None
    truncated: bool


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """The ruling on one response under one profile; `verdict` is correct, wrong or unresolved (which counts as wrong).

    >>> VerdictRow("mme", "0", 0, "paper", "Yes", True, "correct", "yes or no", "rule").correct
    True
    """

    benchmark: str
    row_index: str
    sample: int
    profile: str
    extracted: str
    correct: bool
    verdict: str
    rule: str
    decided_by: str


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A number of a benchmark under a profile: "published", a cell such as "category.math", "pass@4", "majority"; with its 95 % interval
    where there is one.

    >>> ScoreRow("mmstar", "paper", "category.math", 60.0).value
    60.0
    """

    benchmark: str
    profile: str
    column_name: str
    value: float
    low: float | None = None
    high: float | None = None


Row = TypeVar("Row", AskedRow, ResponseRow, VerdictRow, ScoreRow)

TABLES: dict[str, type] = {"questions": AskedRow, "responses": ResponseRow, "verdicts": VerdictRow, "scores": ScoreRow}


def write(
    path: Path,
    evaluation: Evaluation,
    questions: Sequence[AskedRow],
    responses: Sequence[ResponseRow],
    verdicts: Sequence[VerdictRow] = (),
    scores: Sequence[ScoreRow] = (),
) -> None:
    """Write a new file, tables in the order given. Raises ValueError when `path` exists already, or for rows that break a key."""
    if path.exists():
        raise ValueError(f"{path}: exists already; an evaluation is written once")
    with duckdb.connect(str(path)) as connection:
        connection.execute(_step("tables"))
        settings = json.dumps(dict(evaluation.settings), sort_keys=True)
        values = [settings if field.name == "settings" else getattr(evaluation, field.name) for field in fields(Evaluation)]
        connection.execute("INSERT INTO evaluation VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        given: dict[str, Sequence[Any]] = {"questions": questions, "responses": responses, "verdicts": verdicts, "scores": scores}
        try:
            for table, rows in given.items():
                _insert(connection, table, rows)
        except duckdb.ConstraintException as error:
            raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
        connection.execute("CHECKPOINT")


def read_evaluation(path: Path) -> Evaluation:
    """Who was asked what. Raises ValueError for what is no such file."""
    with reading(path) as connection:
        (values,) = connection.execute(_step("evaluation")).fetchall()
    table = dict(zip((field.name for field in fields(Evaluation)), values, strict=True))
    return Evaluation(**{**table, "settings": json.loads(table["settings"])})


def read_questions(path: Path) -> list[AskedRow]:
    """Every question, benchmark after benchmark, in file order. Raises ValueError."""
    return _read(path, "questions", AskedRow)


def read_responses(path: Path) -> list[ResponseRow]:
    """Every response, in the questions' order, samples side by side. Raises ValueError."""
    return _read(path, "responses", ResponseRow)


def read_verdicts(path: Path, profile: str) -> list[VerdictRow]:
    """The verdicts under a profile, in the responses' order. Raises ValueError."""
    return _read(path, "verdicts", VerdictRow, {"profile": profile})


def read_scores(path: Path) -> list[ScoreRow]:
    """Every number under every profile. Raises ValueError."""
    return _read(path, "scores", ScoreRow)


def content_digest(path: Path) -> str:
    """sha256 of what was asked and answered, the same for every writing of the same rows; the time is left out. Raises ValueError."""
    digest = hashlib.sha256()
    with reading(path) as connection:
        for name in ("evaluation", *TABLES):
            shown = "SELECT * EXCLUDE (started) FROM evaluation" if name == "evaluation" else f"SELECT * FROM {name} ORDER BY rowid"
            for row in _batches(connection.cursor().execute(shown)):
                digest.update(json.dumps(row).encode())
    return digest.hexdigest()


@contextmanager
def reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The file, open read-only and cut off from every other. Raises ValueError for what is no such file."""
    try:
        connection = duckdb.connect(str(path), read_only=True, config={"enable_external_access": "false"})
    except duckdb.Error as error:
        raise ValueError(f"{path}: not the responses of an evaluation ({' '.join(str(error).split()):.200}); run `r1vl eval`") from None
    with connection:
        try:
            yield connection
        except duckdb.CatalogException as error:
            raise ValueError(f"{path}: not the responses of an evaluation ({' '.join(str(error).split()):.200}); run `r1vl eval`") from None


def _read(path: Path, step: str, kind: type[Row], parameters: Mapping[str, Any] | None = None) -> list[Row]:
    with reading(path) as connection:
        return [kind(*row) for row in connection.execute(_step(step), dict(parameters or {})).fetchall()]


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Any]) -> None:
    schema = {field.name: _KINDS[str(field.type)] for field in fields(TABLES[table])}
    batch = polars.DataFrame([tuple(map(_storable, astuple(row))) for row in rows], schema=schema, orient="row")
    connection.register("batch", batch)
    connection.execute(f"INSERT INTO {table} SELECT * FROM batch")
    connection.unregister("batch")


def _storable(value: Any) -> Any:
    # Half a surrogate pair has no UTF-8 spelling; a text holding one is kept with a question mark in its place.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _batches(cursor: duckdb.DuckDBPyConnection) -> Iterable[tuple[Any, ...]]:
    while batch := cursor.fetchmany(8192):
        yield from batch


def _step(name: str) -> str:
    return named_sql(__package__, "responses.sql")[name]
