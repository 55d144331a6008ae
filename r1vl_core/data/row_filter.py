"""Which rows of a table of texts does an expression choose? One DuckDB expression over the columns, nothing more."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import duckdb
import polars

_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_POSITION = "position of the row"


def matching(rows: Sequence[Mapping[str, str]], expression: str, name: str) -> list[int]:
    """Places of the rows for which `expression` is true, in order. A column of whole numbers holds numbers, any other texts.

    The expression can read nothing but the row. Raises ValueError, with the table's `name` and its columns, for one that DuckDB refuses.

    >>> matching([{"category": "math", "level": "2"}, {"category": "art", "level": "10"}], "level > 5", "a.tsv")
    [1]
    """
    columns = {column: _typed([row[column] for row in rows]) for column in rows[0]} if rows else {}
    table = polars.DataFrame({**columns, _POSITION: range(len(rows))})
    config = {"enable_external_access": "false", "lock_configuration": "true", "python_enable_replacements": "false"}
    with duckdb.connect(config=config) as connection:
        try:
            # SQLExpression takes one expression: a second statement, or a clause behind it, is a mistake of syntax.
            chosen = connection.from_arrow(table.to_arrow()).filter(duckdb.SQLExpression(expression))
            return sorted(place for (place,) in chosen.select(duckdb.ColumnExpression(_POSITION)).fetchall())
        except duckdb.Error as error:
            said = " ".join(str(error).split("\n\n")[0].split())
            there = ", ".join(columns)
            raise ValueError(f"--where {expression!r}: {said:.200}; {name} has the columns {there}; texts stand in single quotes") from None


def _typed(cells: Sequence[str]) -> polars.Series:
    column = polars.Series(cells, dtype=polars.String)
    return column.cast(polars.Int64) if all(map(_WHOLE.fullmatch, cells)) else column
