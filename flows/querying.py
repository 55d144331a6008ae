"""`r1vl sql`: what a stage made, asked in SQL."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from flows.results import read_result
from r1vl_core.config import STAGES
from r1vl_core.data.sql import Rows, list_tables, querying
from tasks.files import BrokenArtifact
from tasks.store import Artifact, Store

SHOWN_ROWS = 50
"""Rows of an answer that a table on the screen shows."""
_SHOWN_CHARACTERS = 120

Form = Literal["table", "json", "csv"]


def print_answer(root: Path, stage: str, run: str | None, sql: str | None, form: Form) -> None:
    """Print the answer to `sql` over a stage's artifact, or without one its tables. Raises ValueError for what the user got wrong."""
    artifact = find_artifact(root, stage, run)
    if sql is None:
        _print(_listing(artifact.path), form, cut_at=None)
        return
    with querying(artifact.path, sql) as answer:
        _print(answer, form)


def find_artifact(root: Path, stage: str, run: str | None) -> Artifact:
    """The artifact of `stage` that was made last, or the one that a flow run used. Raises ValueError where there is none."""
    known = ("world", *STAGES)
    if stage not in known:
        raise ValueError(f"no stage named {stage!r}; there are {', '.join(known)}")
    store = Store(root)
    if run is None:
        found = store.latest(stage)
        if found is None:
            raise ValueError(f"nothing built of stage {stage} under {root}; build it first: `r1vl run tiny --until {stage}`")
        return found
    stages = read_result(root, run).stages
    if stage not in stages:
        raise ValueError(f"run {run} has no stage {stage}; it has {', '.join(stages)}")
    try:
        return store.read(stages[stage].key, "size")
    except (BrokenArtifact, FileNotFoundError) as error:
        raise ValueError(f"the artifact of stage {stage} of run {run} is not whole ({error}); run the pipeline again") from None


def _listing(folder: Path) -> Rows:
    tables = list_tables(folder)
    if not tables:
        raise ValueError(f"{folder}: this stage keeps no tables")
    rows = ((table.name, table.num_rows, ", ".join(f"{name} {kind}" for name, kind in table.columns)) for table in tables)
    return Rows(("table", "rows", "columns"), rows)


def _print(answer: Rows, form: Form, cut_at: int | None = _SHOWN_CHARACTERS) -> None:
    if form == "json":
        for row in answer.rows:
            print(json.dumps(_plain(dict(zip(answer.columns, row, strict=True))), ensure_ascii=False, default=str))
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows([_cell(value) for value in row] for row in answer.rows)
    else:
        _print_table(answer.columns, answer.rows, cut_at)


def _print_table(columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]], cut_at: int | None) -> None:
    table = Table(*columns)
    for row in islice(rows, SHOWN_ROWS):
        table.add_row(*(_short(value, cut_at) for value in row))
    console = Console(markup=False, highlight=False)
    console.print(table)
    left = sum(1 for _ in rows)
    if left:
        console.print(f"{left} more rows; --json and --csv print all of them, whole")


def _short(value: Any, cut_at: int | None) -> str:
    text = _cell(value)
    return text if cut_at is None or len(text) <= cut_at else f"{text[: cut_at - 1]}…"


def _cell(value: Any) -> str:
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(_plain(value), ensure_ascii=False, default=str)
    return "" if value is None else str(value)


def _plain(value: Any) -> Any:
    """JSON knows no number that is not finite: those become null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
