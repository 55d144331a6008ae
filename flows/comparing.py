"""`r1vl compare`: is one policy better than another, benchmark by benchmark and on all rows together?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from flows.judged_runs import JudgedRun, has_both_policies, judged_run
from r1vl_core.evaluation.comparison import Comparison, compare_answers, p_in_words, sentence

PUBLISHED_OTHERWISE = ("hallusionbench", "mme")
"""Benchmarks whose published number is no share of right rows: whole figures and questions, and whole pictures, count too."""


def print_comparison(root: Path, first: str, second: str | None, profile: str | None, *, as_json: bool) -> None:
    """Print the second run against the first; without a second, a pipeline's StepGRPO against its warm-up. Raises ValueError."""
    runs = _two_runs(root, first, second, profile)
    apart, together = compare_answers(runs[0].answers, runs[1].answers)
    if as_json:
        print(json.dumps(_as_plain(runs, apart, together)))
        return
    _print(runs, apart, together)


def _two_runs(root: Path, first: str, second: str | None, profile: str | None) -> tuple[JudgedRun, JudgedRun]:
    if second is None:
        if not has_both_policies(root, first):
            raise ValueError(f"{first} evaluated one policy; give a second RUN to compare it with")
        first, second = f"{first}:warmup", f"{first}:stepgrpo"
    runs = judged_run(root, first, profile), judged_run(root, second, profile)
    told = {run.profile for run in runs} - {None}
    if len(told) > 1:
        raise ValueError(f"{first} is judged by {runs[0].profile}, {second} by {runs[1].profile}; give --profile one that both know")
    if runs[0].name == runs[1].name:
        given = (first, second) if first != second else ("first", "second")
        return _renamed(runs[0], given[0]), _renamed(runs[1], given[1])
    return runs


def _renamed(run: JudgedRun, given: str) -> JudgedRun:
    return replace(run, name=f"{run.name} ({given})")


def _as_plain(runs: tuple[JudgedRun, JudgedRun], apart: list[Comparison], together: Comparison) -> dict[str, Any]:
    names = runs[0].name, runs[1].name
    return {
        "first": names[0],
        "second": names[1],
        "profile": runs[0].profile or runs[1].profile,
        "notes": list(_notes_on(runs)),
        "benchmarks": [_plain(one, names) for one in apart],
        "overall": _plain(together, names),
    }


def _plain(one: Comparison, names: tuple[str, str]) -> dict[str, Any]:
    return {
        "benchmark": one.benchmark,
        "num_rows": one.num_common,
        "num_rows_first": one.num_first,
        "num_rows_second": one.num_second,
        "num_samples_first": one.num_samples[0],
        "num_samples_second": one.num_samples[1],
        "num_clusters": one.num_clusters,
        "test": one.test,
        "first_accuracy": one.first_accuracy,
        "second_accuracy": one.second_accuracy,
        "difference": one.difference,
        "interval": one.interval,
        "p_value": one.p_value,
        "p_mcnemar": one.pairs.p_value if one.pairs else None,
        "p_holm": one.p_holm,
        "num_gained": len(one.gained),
        "num_lost": len(one.lost),
        "gained": one.gained,
        "lost": one.lost,
        "sentence": sentence(*names, one),
    }


def _print(runs: tuple[JudgedRun, JudgedRun], apart: list[Comparison], together: Comparison) -> None:
    console = Console(markup=False, highlight=False)
    names = runs[0].name, runs[1].name
    profile = runs[0].profile or runs[1].profile or "unknown"
    table = Table(title=f"{names[1]} against {names[0]}, profile {profile}", title_justify="left", box=SIMPLE_HEAD, padding=0)
    for name in ("benchmark", "rows", "first", "second", "points", "95 % interval", "p", "gained", "lost"):
        table.add_column(name, justify="left" if name == "benchmark" else "right", no_wrap=True)
    for one in (*apart, *([together] if len(apart) > 1 else [])):
        table.add_row(*_cells(one))
    console.print(table)
    for line in _notes(runs, apart):
        console.print(line, soft_wrap=True)
    for one in (*apart, *([together] if len(apart) > 1 else [])):
        console.print(f"{sentence(*names, one)}.", soft_wrap=True)


def _cells(one: Comparison) -> list[str]:
    within = f"{100 * one.interval.low:+.1f} … {100 * one.interval.high:+.1f}" if one.interval else "unknown"
    return [
        one.benchmark,
        str(one.num_common),
        f"{100 * one.first_accuracy:.1f} %",
        f"{100 * one.second_accuracy:.1f} %",
        f"{100 * one.difference:+.1f}",
        within,
        f"{one.p_holm:.2g}",
        str(len(one.gained)),
        str(len(one.lost)),
    ]


def _notes_on(runs: tuple[JudgedRun, JudgedRun]) -> Iterator[str]:
    """What is to be known of the runs themselves, each by its name."""
    yield from (f"{run.name}: {note}" for run in runs for note in run.notes)
    if runs[0].place.resolve() == runs[1].place.resolve():
        yield f"both are the same evaluation, {runs[0].place}"


def _notes(runs: tuple[JudgedRun, JudgedRun], apart: list[Comparison]) -> Iterator[str]:
    yield from _notes_on(runs)
    for one in apart:
        if not one.num_first == one.num_second == one.num_common:
            yield f"{one.benchmark}: {one.num_common} common rows, of {one.num_first} and {one.num_second}"
        if one.pairs is None:
            of = " and ".join(map(str, one.num_samples))
            yield f"{one.benchmark}: {of} responses a row; compared is the share of right ones, row by row, so that a row counts once"
        if one.num_clusters is not None:
            mcnemar = f"; McNemar's p, which takes rows for independent, {p_in_words(one.pairs.p_value)}" if one.pairs else ""
            yield f"{one.benchmark}: rows hang together in {one.num_clusters} clusters, by which interval and p are{mcnemar}"
        if one.interval is None:
            yield f"{one.benchmark}: all rows are one cluster, which says nothing of how others would fare"
    for test in dict.fromkeys(one.test for one in apart):
        yield f"{', '.join(one.benchmark for one in apart if one.test == test)}: {test}"
    if scored := [one.benchmark for one in apart if one.benchmark in PUBLISHED_OTHERWISE]:
        yield f"{', '.join(scored)}: compared are right rows; the published number is made of them, and is another"
    missing = [name for run, other in (runs, runs[::-1]) for name in run.answers if name not in other.answers]
    if missing:
        yield f"left out, judged in one run alone: {', '.join(missing)}"
    if len(apart) > 1:
        yield f"p is adjusted for {len(apart)} benchmarks (Holm), that of all rows and the intervals are not"
