"""What `r1vl eval` prints: our row under the paper's, and the same as one JSON object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from r1vl_core.config import Judge
from r1vl_core.data import responses as stored
from r1vl_core.evaluation.benchmarks.average import Average, average
from r1vl_core.evaluation.benchmarks.rulings import BENCHMARKS, Profile
from r1vl_core.evaluation.published import PAPER, TITLES
from tasks.benchmark_results import MAJORITY, PUBLISHED, read_summary
from tasks.benchmarks import Request
from tasks.stages import StageResult


def print_evaluation(console: Console, request: Request, result: StageResult, profile: Profile, judge: Judge | None) -> None:
    """Every table's cells, so that the end of a long print is the sum of it: the paper's rows, then ours, in the paper's column order; then
    what stands behind each number, and where it lies."""
    summary = read_summary(result.artifact.path)
    names = [name for name in BENCHMARKS if name in summary]
    for line in _cells(result.artifact.path / stored.FILE, names, profile):
        console.print(line, soft_wrap=True)
    partial = ", PARTIAL: rows were left out" if request.is_partial else ""
    by = f", judged by {judge.model} where no rule decides" if judge else ""
    console.print(f"Published numbers, profile {profile}{by}{partial}; * the paper's own", soft_wrap=True)
    console.print(_table(request, names, summary, profile))
    for name in names:
        console.print(_line(name, summary[name], profile), soft_wrap=True)
    if mean := average({name: summary[name][profile][PUBLISHED] for name in names}):
        of = ", of partial numbers" if request.is_partial else ""
        console.print(f"  {'AVG':<14} {mean.exact:.4f} exact, {mean.cut:.1f} cut as the paper cuts it{of}")
    if request.where is not None:
        console.print(f"  rows chosen by --where {request.where!r}", soft_wrap=True)
    for name, why in request.left_out.items():
        console.print(f"  {name} is left out: {why}", soft_wrap=True)
    console.print(f"  {result.state}: {result.artifact.path / stored.FILE}", soft_wrap=True)
    console.print(f"  key: {result.key[:12]}, which `r1vl compare` and `r1vl eval-page` take")


def as_plain(request: Request, result: StageResult, profile: Profile, judge: Judge | None) -> dict[str, Any]:
    """The JSON object of an evaluation: what the table shows, and every table of each benchmark under the profile."""
    summary = read_summary(result.artifact.path)
    cells: dict[str, dict[str, float]] = {}
    for row in stored.read_scores(result.artifact.path / stored.FILE):
        if row.profile == profile:
            cells.setdefault(row.benchmark, {})[row.column_name] = row.value
    mean = average({name: table[profile][PUBLISHED] for name, table in summary.items()})
    counts = ("num_rows", "num_all", "num_samples")
    return {
        "policy": request.who.name,
        "prompt": request.who.prompt,
        "profile": profile,
        "judge": judge.model if judge else None,
        "partial": request.is_partial,
        "left_out": request.left_out,
        "where": request.where,
        "limit": request.limit,
        "settings": request.settings,
        "benchmarks": {
            name: {**{key: table[key] for key in counts}, **table[profile], "cells": cells[name]} for name, table in summary.items()
        },
        "average": None if mean is None else {"exact": mean.exact, "cut": mean.cut},
        "paper": {model: {name: row[name] for name in summary if name in row} for model, row in PAPER.items()},
        "state": result.state,
        "key": result.key,
        "responses": str(result.artifact.path / stored.FILE),
    }


def _cells(file: Path, names: list[str], profile: Profile) -> Iterator[str]:
    """A line for each cell of the benchmarks' tables, with its interval; what is told below is left out, and tables within tables are."""
    rows = [row for row in stored.read_scores(file) if row.profile == profile and row.benchmark in names]
    for name in names:
        yield name
        for row in rows:
            if row.benchmark == name and "." in row.column_name and not row.column_name.startswith("within."):
                within = "" if row.low is None else f"  {row.low:9.1f} – {row.high:.1f}"
                yield f"  {row.column_name:<44} {row.value:9.1f}{within}"
        yield ""


def _table(request: Request, names: list[str], summary: Mapping[str, Any], profile: Profile) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, title_justify="left")
    table.add_column("policy", overflow="fold")
    for name in names:
        table.add_column(TITLES[name], justify="right", no_wrap=True)
    ours = {name: summary[name][profile][PUBLISHED] for name in names}
    has_all = average(ours) is not None  # the mean of some stands beside no mean of eight
    if has_all:
        table.add_column("AVG\npart" if request.is_partial else "AVG", justify="right", no_wrap=True)
    if any(name != "handwriting" for name in names):
        for model, row in PAPER.items():
            table.add_row(f"{model}*", *(_number(name, row.get(name)) for name in names), *([_cut(average(row))] if has_all else []))
        table.add_section()
    table.add_row(request.who.name, *(_number(name, ours[name]) for name in names), *([_cut(average(ours))] if has_all else []))
    return table


def _number(name: str, value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}" if name == "mme" else f"{value:.1f}"


def _cut(mean: Average | None) -> str:
    return "–" if mean is None else f"{mean.cut:.1f}"


def _line(name: str, table: Mapping[str, Any], profile: Profile) -> str:
    """One benchmark's rows, interval, and what no rule decided."""
    num_rows, num_all, found = table["num_rows"], table["num_all"], table[profile]
    rows = f"{num_rows:,} rows" if num_rows == num_all else f"partial: {num_rows:,} of {num_all:,} rows"
    parts = [f"  {name:<14} {found[PUBLISHED]:.4f}"]
    if found["interval"]:
        parts.append("95 % interval {:.1f} – {:.1f}".format(*found["interval"]))
    parts.append(rows if table["num_samples"] == 1 else f"{rows}, mean of {table['num_samples']} samples")
    parts += [_of_samples(key, found) for key in found if key.startswith("pass@") or key == MAJORITY]
    if found["share_judged"]:
        parts.append(f"{found['share_judged']:.1%} decided by the judge")
    parts.append(f"{found['share_unresolved']:.1%} decided by no rule, and counted as wrong")
    return " · ".join(parts)


def _of_samples(key: str, found: Mapping[str, Any]) -> str:
    within = found["intervals"].get(key)
    return f"{key} {found[key]:.1f}" + (" ({:.1f} – {:.1f})".format(*within) if within else "")
