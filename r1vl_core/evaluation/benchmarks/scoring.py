"""Existing responses to a benchmark's rows, scored: a verdict on each, and the published number with its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

from r1vl_core.evaluation.benchmarks.intervals import intervals
from r1vl_core.evaluation.benchmarks.registry import Benchmark, benchmark
from r1vl_core.evaluation.benchmarks.rulings import Cell, Profile, Row, Ruling, Version
from r1vl_core.evaluation.benchmarks.spreadsheet import MISSING, as_kept, as_read, as_written
from r1vl_core.evaluation.benchmarks.tsv import read_texts
from r1vl_core.evaluation.benchmarks.wording import TextRow
from r1vl_core.evaluation.statistics import Interval
from r1vl_core.reasoning.symbolic import NUM_WORKERS


@dataclass(frozen=True, slots=True)
class Undecided:
    """A response that no rule decides: what was asked, and the benchmark's own rule, which an answer found in it can be put to."""

    row: TextRow
    question: str
    response: str
    ruling: Ruling
    rule: Callable[[str], Ruling]


Judge = Callable[[Sequence[Undecided]], Sequence[Ruling]]
"""Rules on responses that no rule decides, in their order; a ruling that stays unresolved says that it cannot."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What responses to a benchmark come to. `rulings` holds a verdict by index, in file order.

    `column` is the published number, in its own unit; `num_missing` says how many rows of the file have no response: the numbers are of
    the others then, a partial result. `intervals` are the 95 % intervals of "column" and of every table's cell by its dotted name; None
    where the rows are too few clusters to say.
    """

    benchmark: str
    profile: Profile
    rulings: dict[str, Ruling]
    column: float
    num_unresolved: int
    num_judged: int
    num_missing: int
    tables: dict[str, Any]
    intervals: dict[str, Interval | None]


@dataclass(frozen=True, slots=True)
class BenchmarkFile:
    """The rows of a benchmark file that have a picture, as texts by index; `bare` are the indices of those that have none.

    Where every index is a whole number they are compared as numbers, else as texts.
    """

    name: str
    path: Path
    rows: dict[str, TextRow]
    bare: frozenset[str]
    by_number: dict[int, str]

    def index_of(self, given: str | int) -> str | None:
        """The index as the file spells it, None when there is no such row."""
        text = str(given)
        if text in self.rows or text in self.bare:
            return text
        return self.by_number.get(int(text)) if self.by_number and _is_whole(text) else None


def read_benchmark(name: str, path: Path) -> BenchmarkFile:
    """Read a benchmark's file for scoring, without holding or decoding a picture.

    Raises ValueError naming the file, the row and the column of what is malformed, and for a file without a row.
    """
    module = benchmark(name)
    rows: dict[str, TextRow] = {}
    bare: set[str] = set()
    for number, row in enumerate(read_texts(path, module.COLUMNS), start=1):
        if row.pop("image", "picture") in MISSING:
            bare.add(row["index"])
            continue
        try:
            module.check(row)
        except ValueError as error:
            raise ValueError(f"{path}: row {number} (index {row['index']!r:.80}), {error}") from None
        rows[row["index"]] = row
    if not rows:
        raise ValueError(f"{path}: holds no row with a picture; give the benchmark's own TSV")
    indices = [*rows, *bare]
    by_number = {int(index): index for index in indices} if all(map(_is_whole, indices)) else {}
    if by_number and len(by_number) < len(indices):
        twice = next(index for index in indices if by_number[int(index)] != index)
        raise ValueError(f"{path}: row with index {twice!r}, column 'index': the same number as {by_number[int(twice)]!r}")
    return BenchmarkFile(name, path, rows, frozenset(bare), by_number)


def score(file: BenchmarkFile, responses: Mapping[str, str], profile: Profile, judge: Judge | None = None) -> Scored:
    """Score responses by index; rows without one are left out and counted. `judge` is asked about rows that no rule decides, and no others.

    Raises ValueError when no row has a response.
    """
    rows = [row for index, row in file.rows.items() if index in responses]
    if not rows:
        raise ValueError(f"no response to any row of {file.path}; give responses whose index is a row's")
    module = benchmark(file.name)
    rulings = _rule(module, rows, [responses[row["index"]] for row in rows], profile)
    if judge is not None:
        rulings = _judged(judge, module, rows, [responses[row["index"]] for row in rows], rulings, profile)
    judged = [(row, ruling.correct) for row, ruling in zip(rows, rulings, strict=True)]
    totals = module.sum_up(judged)
    return Scored(
        benchmark=file.name,
        profile=profile,
        rulings={row["index"]: ruling for row, ruling in zip(rows, rulings, strict=True)},
        column=totals.column,
        num_unresolved=sum(ruling.decided_by == "unresolved" for ruling in rulings),
        num_judged=sum(ruling.decided_by == "judge" for ruling in rulings),
        num_missing=len(file.rows) - len(rows),
        tables=totals.tables,
        intervals=intervals(file.name, judged, totals),
    )


def _rule(module: Benchmark, rows: Sequence[TextRow], responses: Sequence[str], profile: Profile) -> list[Ruling]:
    # Threads, because some rows wait for one of the processes that do symbolic mathematics.
    with ThreadPoolExecutor(NUM_WORKERS) as threads:
        if profile == "strict" or module.rule is None:
            return list(threads.map(module.strict, rows, responses))
        predictions = [as_written(module.find_answer(response), profile) for response in responses]
        return list(threads.map(module.rule, _as_read(rows), as_read(predictions), repeat(profile)))


def _as_read(rows: Sequence[TextRow]) -> list[dict[str, Cell]]:
    """The rows as the toolkit's data frame holds them: whole columns are read, in which one cell may change what the others are."""
    columns = {name: as_kept(as_read([row[name] for row in rows])) for name in rows[0]}
    return [{name: cells[place] for name, cells in columns.items()} for place in range(len(rows))]


def _judged(
    judge: Judge, module: Benchmark, rows: Sequence[TextRow], responses: Sequence[str], rulings: list[Ruling], profile: Profile
) -> list[Ruling]:
    """The rulings with the judge's in the places of those that no rule could give."""
    rule = module.rule
    places = [place for place, ruling in enumerate(rulings) if ruling.decided_by == "unresolved"]
    if rule is None or profile == "strict" or not places:
        return rulings
    kept = _as_read(rows)
    undecided = []
    for place in places:
        question, put = module.question_text(rows[place]), partial(_put, rule, kept[place], profile)
        undecided.append(Undecided(rows[place], question, responses[place], rulings[place], put))
    found = dict(zip(places, judge(undecided), strict=True))
    return [found.get(place, ruling) for place, ruling in enumerate(rulings)]


def _put(rule: Callable[[Row, Cell, Version], Ruling], row: Row, version: Version, answer: str) -> Ruling:
    return rule(row, answer, version)


def _is_whole(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20
