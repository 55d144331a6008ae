"""Which rows of a table of texts does an expression choose? One DuckDB expression over the columns, nothing more."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb
import polars

_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_POSITION = "position of the row"
_LONGEST = 2_000
"""Characters of an expression: DuckDB takes minutes to refuse tens of thousands of brackets."""


class CannotAsk(ValueError):
    """An expression that cannot be asked of a table; `reason` says why, without the table."""

    def __init__(self, reason: str, whole: str) -> None:
        super().__init__(whole)
        self.reason = reason


class _QueryWithin(Exception):
    """An expression that holds a SELECT."""


def matching(rows: Sequence[Mapping[str, str]], expression: str, name: str) -> list[int]:
    """Places of the rows for which `expression` is true, in order. A column of whole numbers holds numbers, any other texts.

    The expression can read nothing but the row: no file, no variable, no query of its own. Raises CannotAsk, with the table's `name` and
    its columns, for one that does not keep to it or that DuckDB refuses, and ValueError for one that is none in any table.

    >>> matching([{"category": "math", "level": "2"}, {"category": "art", "level": "10"}], "level > 5", "a.tsv")
    [1]
    """
    columns = {column: _typed([row[column] for row in rows]) for column in rows[0]} if rows else {}
    table = polars.DataFrame({**columns, _POSITION: range(len(rows))})
    config = {"enable_external_access": "false", "lock_configuration": "true", "python_enable_replacements": "false"}
    _check_text(expression)
    with duckdb.connect(config=config) as connection:
        try:
            _check_one_row(connection, expression)
            # SQLExpression takes one expression: a second statement, or a clause behind it, is a mistake of syntax.
            chosen = connection.from_arrow(table.to_arrow()).filter(duckdb.SQLExpression(expression))
            return sorted(place for (place,) in chosen.select(duckdb.ColumnExpression(_POSITION)).fetchall())
        except (duckdb.Error, _QueryWithin) as error:
            said = " ".join(str(error).split("\n\n")[0].split())[:200]
            there = f"{name} has the columns {', '.join(columns)}; texts stand in single quotes"
            raise CannotAsk(said, f"--where {expression!r}: {said}; {there}") from None


def _check_text(expression: str) -> None:
    if len(expression) > _LONGEST:
        raise ValueError(f"--where {expression[:40]!r}…: {len(expression):,} characters; write it in {_LONGEST:,} at most")
    if any("\ud800" <= character <= "\udfff" for character in expression):
        raise ValueError(f"--where {expression!r:.200}: holds bytes that are no UTF-8; write it as UTF-8")


def _check_one_row(connection: duckdb.DuckDBPyConnection, expression: str) -> None:
    """A query within the expression sees DuckDB's own tables, and may never end. What does not parse is refused where it is used."""
    ((tree,),) = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT {expression}"]).fetchall()
    if any(node.get("class") == "SUBQUERY" for node in _nodes(json.loads(tree))):
        raise _QueryWithin("a query of its own where one expression is wanted")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for child in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(child)


def _typed(cells: Sequence[str]) -> polars.Series:
    column = polars.Series(cells, dtype=polars.String)
    return column.cast(polars.Int64) if all(map(_WHOLE.fullmatch, cells)) else column
