"""`r1vl score`: existing responses to a benchmark's rows, scored without a model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from r1vl_core.data.strict_json import json_lines
from r1vl_core.evaluation.benchmarks.intervals import COLUMN
from r1vl_core.evaluation.benchmarks.registry import group_key
from r1vl_core.evaluation.benchmarks.rulings import Profile
from r1vl_core.evaluation.benchmarks.scoring import BenchmarkFile, Judge, Scored, read_benchmark, score
from r1vl_core.evaluation.statistics import Interval


def print_score(
    benchmark: str, data: Path, responses: Path, profile: Profile, *, as_json: bool, rows: Path | None, judge: Judge | None = None
) -> None:
    """Score the responses, write the rows' verdicts where asked for, and print the result.

    Raises ValueError naming the file, the row or line, and the cure.
    """
    if rows is not None and any(rows.exists() and read.exists() and rows.samefile(read) for read in (data, responses)):
        raise ValueError(f"--rows {rows} would write over what is scored; give another file")
    file = read_benchmark(benchmark, data)
    said = read_responses(responses, file)
    scored = score(file, said, profile, judge)
    if rows is not None:
        write_rows(rows, scored, file, said)
    if as_json:
        print(json.dumps(as_plain(scored)))
        return
    print("\n".join(_lines(scored)))


def read_responses(path: Path, file: BenchmarkFile) -> dict[str, str]:
    """Responses by the index of their row, as the benchmark file spells it; those to rows without a picture are left out.

    Raises ValueError naming the line of what is no response, of a response to no row, and of the second response to one.
    """
    found: dict[str, str] = {}
    places: dict[str, str] = {}
    for place, record in records(path):
        try:
            given, text = _response(record)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        index = file.index_of(given)
        if index is None:
            raise ValueError(
                f"{place}: no row with the index {given!r:.80} in {file.path}; correct the index or give the file it belongs to"
            )
        if index in places:
            raise ValueError(f"{place}: row {given!r:.80} has a response in {places[index].rpartition(', ')[2]} already; keep one")
        places[index] = place
        if index in file.rows:
            found[index] = text
    return found


def write_rows(path: Path, scored: Scored, file: BenchmarkFile, responses: Mapping[str, str]) -> None:
    """Write one JSON object a row, in file order: index, extracted, correct, rule, decided_by, benchmark, profile, `group`: what the row
    hangs together with others by, null where rows stand alone, `gold`: the right answer, and response. Raises ValueError when it cannot."""
    try:
        with path.open("w", encoding="utf-8") as out:
            for index, ruling in scored.rulings.items():
                row = {"index": index, "extracted": ruling.extracted, "correct": ruling.correct, "rule": ruling.rule}
                asked = file.rows[index]
                of = {
                    "benchmark": scored.benchmark,
                    "profile": scored.profile,
                    "group": group_key(file.name, asked),
                    "gold": asked["answer"],
                    "response": responses[index],
                }
                print(json.dumps({**row, "decided_by": ruling.decided_by, **of}), file=out)
    except OSError as error:
        raise ValueError(f"--rows {path}: {error.strerror or error}; give a file in a folder that is there") from None


def as_plain(scored: Scored) -> dict[str, Any]:
    """The JSON object of a score; `num_missing` rows of the file have no response, and the result is partial unless it is 0."""
    return {
        "benchmark": scored.benchmark,
        "profile": scored.profile,
        "num_rows": len(scored.rulings),
        "column": scored.column,
        "unresolved": scored.num_unresolved,
        "tables": scored.tables,
        "num_missing": scored.num_missing,
        "intervals": scored.intervals,
        "judged": scored.num_judged,
    }


def records(path: Path) -> Iterator[tuple[str, Any]]:
    """Each record of a file of JSON lines, and where it stands. Raises ValueError naming the file, or the line that is no JSON."""
    try:
        with path.open("rb") as lines:
            yield from ((place, record) for _, place, record in json_lines(lines, str(path)))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}; give a file of JSON lines") from None


def _response(record: Any) -> tuple[str | int, str]:
    if not isinstance(record, dict):
        raise ValueError('no object; write {"index": …, "response": …}')
    for name in ("index", "response"):
        if name not in record:
            raise ValueError(f"no field {name!r}; add it")
    index, text = record["index"], record["response"]
    if isinstance(index, bool) or not isinstance(index, str | int):
        raise ValueError(f"index is {json.dumps(index):.40}; write a text or a whole number")
    if not isinstance(text, str):
        raise ValueError(f"response is {json.dumps(text):.40}; write a text, empty when there is no answer")
    return index, text


def _lines(scored: Scored) -> Iterator[str]:
    num = len(scored.rulings)
    missing = f", PARTIAL: {scored.num_missing} rows of the file have no response" if scored.num_missing else ""
    yield f"{scored.benchmark}, {scored.profile}: {scored.column:.4f} on {num} rows{missing}"
    yield f"95 % interval: {_within(scored.intervals[COLUMN])}"
    if scored.num_judged:
        yield f"decided by the judge: {scored.num_judged} ({scored.num_judged / num:.1%})"
    yield f"decided by no rule, and counted as wrong: {scored.num_unresolved} ({scored.num_unresolved / num:.1%})"
    yield from _table(scored.tables, scored.intervals)


def _within(interval: Interval | None) -> str:
    return "unknown, too few rows that stand apart" if interval is None else f"{interval.low:.4f} to {interval.high:.4f}"


def _table(table: dict[str, Any], intervals: dict[str, Interval | None], indent: str = "", above: str = "") -> Iterator[str]:
    """Every cell with its interval, cells of a table below its name."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield f"{indent}{name}"
            yield from _table(value, intervals, indent + "  ", f"{above}{name}.")
        else:
            within = intervals[above + name]
            shown = f"  {within.low:9.4f} – {within.high:.4f}" if within else ""
            yield f"{indent}{name:<{max(1, 44 - len(indent))}} {value:9.4f}{shown}"
