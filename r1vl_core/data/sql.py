"""SQL over the files of an artifact: its Parquet files, JSON lines and DuckDB databases as tables of a connection that can only read.

A query can neither write nor reach anything else: only a single SELECT is taken, databases are attached read-only, DuckDB itself opens no
Parquet file (Arrow reads them for it, a batch at a time), access to files, network and extensions is off, nothing is spilled to a disk,
and the configuration is locked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow
import pyarrow.dataset

from r1vl_core.data.interruption import interruptible

_CONFIG = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
}
_BATCH_ROWS = 1024

_NO_NAMES: Mapping[str, str] = {}
_OF_CURATION = {"*": "", **{name: name for name in ("sources", "rejected", "reject_reasons", "counts_by_source")}}
_BESIDE_CURATION = {"sources": "", "counts_by_source": "", "rejected": "set_aside", "reject_reasons": "set_aside_reasons"}
"""What tables are called where key steps are asked together with the curation they were made of; "*" are all others, "" is left out."""


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table of an artifact: its columns with their types, and how many rows it has.

    >>> TableInfo("rollouts", 4096, (("step", "INTEGER"), ("text", "VARCHAR"))).columns[0][0]
    'step'
    """

    name: str
    num_rows: int
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """The answer to a query: the names of its columns, and its rows, which are read as they are asked for.

    >>> Rows(("n",), iter([(1,)])).columns
    ('n',)
    """

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


def list_tables(place: Path, curated: Path | None = None) -> list[TableInfo]:
    """Every table that `querying` offers of them, by name. Raises ValueError for a file that cannot be read."""
    with _connected(place, curated) as (connection, names):
        found = []
        for name in sorted(names):
            columns = tuple((row[0], row[1]) for row in connection.execute(f"DESCRIBE {_quoted(name)}").fetchall())
            ((num_rows,),) = connection.execute(f"SELECT count(*) FROM {_quoted(name)}").fetchall()
            found.append(TableInfo(name, num_rows, columns))
        return found


@contextmanager
def querying(place: Path, sql: str, curated: Path | None = None) -> Iterator[Rows]:
    """The answer to one SELECT over an artifact's folder or one of its files, good while the block runs.

    Beside questions with key steps stands, where its database is given, the `curated` data they were made of: `sources`, `rejected` and the
    counts of both are its own then, and what was set aside when key steps were found is `set_aside`.

    Ctrl-C ends it however long it takes. Raises ValueError for anything but a SELECT, for what DuckDB says against the query (also while
    rows are read), and for an unreadable file.
    """
    with _connected(place, curated) as (connection, names), interruptible(connection):
        try:
            statements = connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise ValueError("a query is one SELECT (or FROM, WITH, DESCRIBE, SUMMARIZE); nothing here can be written")
            answer = connection.execute(statements[0])
            yield Rows(tuple(column[0] for column in answer.description or ()), _rows(answer))
        except duckdb.InterruptException:
            raise  # told as Ctrl-C
        except duckdb.Error as error:
            hint = f" (tables: {', '.join(sorted(names)) or 'none'})" if isinstance(error, duckdb.CatalogException) else ""
            raise ValueError(f"query: {' '.join(str(error).split())}{hint}") from None


def _rows(answer: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while batch := answer.fetchmany(_BATCH_ROWS):
        yield from batch


@contextmanager
def _connected(place: Path, curated: Path | None) -> Iterator[tuple[duckdb.DuckDBPyConnection, set[str]]]:
    """A locked connection and the names of its tables."""
    names: set[str] = set()
    paths = sorted(place.iterdir()) if place.is_dir() else [place]
    with duckdb.connect(config=_CONFIG) as connection:
        for path in [*paths, *([curated] if curated else [])]:
            try:
                names |= _add(
                    connection, path, names, _NO_NAMES if curated is None else _OF_CURATION if path == curated else _BESIDE_CURATION
                )
            except (duckdb.Error, pyarrow.ArrowException, polars.exceptions.PolarsError, OSError) as error:
                raise ValueError(f"{path}: cannot be read ({error}); run the stage that makes it again") from None
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection, names


def _add(connection: duckdb.DuckDBPyConnection, path: Path, taken: set[str], called: Mapping[str, str]) -> set[str]:
    """Make tables of one file, or of one folder of part files; their names."""
    parts = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path] if path.suffix == ".parquet" else []
    if parts:
        connection.register(path.stem, pyarrow.dataset.dataset([str(part) for part in parts], format="parquet"))
        return {path.stem}
    if path.suffix == ".jsonl":
        connection.register(path.stem, polars.read_ndjson(path, infer_schema_length=None).to_arrow())
        return {path.stem}
    if path.suffix == ".duckdb":
        return _attach(connection, path, taken, called)
    return set()


def _attach(connection: duckdb.DuckDBPyConnection, path: Path, taken: set[str], called: Mapping[str, str]) -> set[str]:
    """Make tables of a database's, by the names `called`, if any, where "" leaves one out; one whose name another file has is called by its
    file as well ("validation_questions")."""
    database = f"file {len(taken)} {path.stem}"
    location = str(path).replace("'", "''")
    connection.execute(f"ATTACH '{location}' AS {_quoted(database)} (READ_ONLY)")
    found = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = $1 AND NOT internal"
        " UNION ALL SELECT view_name FROM duckdb_views() WHERE database_name = $1 AND NOT internal",
        [database],
    ).fetchall()
    wanted = {name: called.get(name, called.get("*", name)) for (name,) in found}
    names = {name: f"{path.stem}_{shown}" if shown in taken else shown for name, shown in wanted.items() if shown}
    for name, shown in names.items():
        connection.execute(f"CREATE VIEW {_quoted(shown)} AS FROM {_quoted(database)}.{_quoted(name)}")
    return set(names.values())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
