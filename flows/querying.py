"""`r1vl sql`: what a stage made, asked in SQL."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.judged_runs import evaluation_file
from flows.results import read_result
from r1vl_core.config import STAGES
from r1vl_core.data import responses
from r1vl_core.data.sql import Rows, list_tables, querying
from tasks import curate
from tasks.files import BrokenArtifact
from tasks.store import Artifact, Store

EVALUATIONS = "benchmarks"
"""What the evaluations of `r1vl eval` are called among the stages."""

CURATED = ("curate", "key_steps")
"""Stages whose artifacts hold questions, which are asked where no stage is named."""

_KEPT_BY = {"rollouts": "stepgrpo", "reports": "stepgrpo", "pass_rates": "difficulty", "responses": EVALUATIONS, "verdicts": EVALUATIONS}
"""Tables that people look for, and the stage that keeps them."""

SHOWN_ROWS = 50
"""Rows of an answer that a table on the screen shows."""
_CELL_CHARACTERS = 120
_LINE_CHARACTERS = 400
_READABLE = 20
"""Characters of a table's column that a long text can still be read in."""

Form = Literal["table", "json", "csv"]


def print_answer(root: Path, stage: str | None, run: str | None, sql: str | None, form: Form) -> None:
    """Print the answer to `sql` over a stage's artifact (None: the questions'), or without a query its tables.

    Raises ValueError for what the user got wrong.
    """
    place, curated = _data(root, run) if stage is None else (_place(root, stage, run), None)
    if sql is None:
        _print_listing(place, curated, form)
        return
    try:
        with querying(place, sql, curated) as answer:
            _print(answer, form)
    except ValueError as error:
        raise ValueError(f"{error}{_field_meant(place, str(error))}{_table_meant(str(error))}") from None


def _place(root: Path, stage: str, run: str | None) -> Path:
    return _evaluation(root, run) if stage == EVALUATIONS else find_artifact(root, stage, run).path


def _data(root: Path, run: str | None) -> tuple[Path, Path | None]:
    """The questions made last, or those of a flow run; where they have key steps, the database of their curation beside them."""
    if run is not None:
        stages = read_result(root, run).stages
        stage = next((name for name in reversed(CURATED) if name in stages), CURATED[0])
        found = find_artifact(root, stage, run)
    else:
        newest = next((one for one in Store(root).artifacts() if one.stage in CURATED), None)
        if newest is None:
            raise ValueError(f"no questions under {root}; make some first: `r1vl run tiny --until {CURATED[-1]}`")
        found = newest
    if found.stage == CURATED[0]:
        return found.path, None
    made_of = (one for one in Store(root).artifacts(CURATED[0]) if one.digest == found.recipe.inputs.get(CURATED[0]))
    return found.path, next((one.path / curate.DATABASE for one in made_of), None)


def find_artifact(root: Path, stage: str, run: str | None) -> Artifact:
    """The artifact of `stage` that was made last, or the one that a flow run used. Raises ValueError where there is none."""
    known = ("world", *STAGES, EVALUATIONS)
    if stage not in known:
        raise ValueError(f"no stage named {stage!r}; there are {', '.join(known)}")
    store = Store(root)
    if run is None:
        found = store.latest(stage)
        if found is None:
            raise ValueError(f"nothing built of stage {stage} under {root}; build it first: `r1vl run PRESET --until {stage}`")
        return found
    stages = read_result(root, run).stages
    if stage not in stages:
        raise ValueError(f"run {run} has no stage {stage}; it has {', '.join(stages)}")
    try:
        return store.read(stages[stage].key, "size")
    except (BrokenArtifact, FileNotFoundError) as error:
        raise ValueError(f"the artifact of stage {stage} of run {run} is not whole ({error}); run the pipeline again") from None


def _evaluation(root: Path, run: str | None) -> Path:
    """The database of the evaluation that `r1vl eval` made last, or of the one `run` names as for `r1vl compare`. Raises ValueError."""
    if run is not None:
        return evaluation_file(root, run)
    found = next((one for one in Store(root).artifacts() if (one.path / responses.FILE).is_file()), None)
    if found is None:
        raise ValueError(f"no evaluation under {root}; make one first: `r1vl eval PRESET --data-dir FOLDER`")
    return found.path / responses.FILE


def _print_listing(place: Path, curated: Path | None, form: Form) -> None:
    tables = list_tables(place, curated)
    if not tables:
        raise ValueError(f"{place}: this stage keeps no tables")
    if form != "table":
        rows = ((table.name, table.num_rows, ", ".join(f"{name} {kind}" for name, kind in table.columns)) for table in tables)
        _print(Rows(("table", "rows", "columns"), rows), form)
        return
    console = Console(markup=False, highlight=False)
    for table in tables:
        console.print(Text(f"{table.name}, {table.num_rows} rows", style="bold"))
        console.print(_pairs((name, _kind_in_words(name, kind)) for name, kind in table.columns))


def _kind_in_words(name: str, kind: str) -> str:
    fields = _fields(kind)
    return f"STRUCT, its fields as {name}.{fields[0]}: {', '.join(fields)}" if fields else kind


def _fields(kind: str) -> list[str]:
    """Names of the fields of a STRUCT of plain values, in order of the alphabet: the struct's own order is not settled."""
    inside = re.fullmatch(r"STRUCT\(([^()]*)\)", kind)
    return sorted(field.split()[0].strip('"') for field in inside[1].split(", ")) if inside else []


def _field_meant(place: Path, problem: str) -> str:
    """How to write a column that is none, but a field of one."""
    missing = re.search(r'column "([^"]+)" not found', problem)
    for table in list_tables(place) if missing else ():
        for name, kind in table.columns:
            if missing and missing[1] in _fields(kind):
                return f" ({missing[1]} is a field of {name} in {table.name}: write {name}.{missing[1]})"
    return ""


def _table_meant(problem: str) -> str:
    """Which stage keeps a table that is not there."""
    missing = re.search(r"Table with name (\w+) does not exist", problem)
    stage = _KEPT_BY.get(missing[1]) if missing else None
    return f" ({missing[1]}: --artifact {stage})" if missing and stage else ""


def _print(answer: Rows, form: Form) -> None:
    if form == "json":
        for row in answer.rows:
            print(json.dumps(_plain(dict(zip(answer.columns, row, strict=True))), ensure_ascii=False, default=str))
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows([_cell(value) for value in row] for row in answer.rows)
    else:
        _print_shown(answer.columns, answer.rows)


def _print_shown(columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
    """The first rows as a table, or, where that would be too wide to read, one under the other, a line a column."""
    console = Console(markup=False, highlight=False)
    shown = [[_cell(value) for value in row] for row in islice(rows, SHOWN_ROWS)]
    if _fits(columns, shown, console.width):
        table = Table(*columns)
        for row in shown:
            table.add_row(*(_short(text, _CELL_CHARACTERS) for text in row))
        console.print(table)
    else:
        for number, row in enumerate(shown, 1):
            console.print(Text(f"row {number}", style="bold"))
            console.print(_pairs(zip(columns, (_short(text, _LINE_CHARACTERS) for text in row), strict=True)))
    left = sum(1 for _ in rows)
    if left:
        console.print(f"{left} more rows; --json and --csv print all of them, whole")


def _fits(columns: tuple[str, ...], rows: list[list[str]], width: int) -> bool:
    """Whether every column of a table gets the room it needs, or, if its texts are long, enough to read them in."""
    longest = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    return sum(min(length, _READABLE) + 3 for length in longest) + 1 <= width


def _pairs(lines: Iterable[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in lines:
        grid.add_row(f"  {name}", text)
    return grid


def _short(text: str, cut_at: int) -> str:
    return text if len(text) <= cut_at else f"{text[: cut_at - 1]}…"


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
