"""`r1vl eval-page`: every answer of an evaluation to look at, or of two side by side."""

from __future__ import annotations

from pathlib import Path

import typer

from flows.evaluating import file_of
from flows.judged_runs import evaluation_file
from r1vl_core.evaluation.benchmarks.rulings import BENCHMARKS
from tasks.responses_page import read_answered, write


def make_page(root: Path, first: str, second: str | None, data_dir: Path, out: Path | None) -> None:
    """Write the page and say where. Raises ValueError for a run without answers of its own, and for a missing benchmark file."""
    given = [first] if second is None else [first, second]
    evaluations = [read_answered(evaluation_file(root, one)) for one in given]
    names = [one.name for one in evaluations]
    if len(set(names)) < len(names):
        names = [f"{name} ({run})" for name, run in zip(names, given, strict=True)]
    asked = {benchmark for one in evaluations for benchmark, _ in one.answers}
    files = {name: file_of(name, data_dir, root) for name in BENCHMARKS if name in asked}
    out = out or root / "pages" / "-".join("".join(c if c.isalnum() else "_" for c in name) for name in names)[:100]
    num_rows = write(out, evaluations, names, files)
    typer.echo(f"{num_rows:,} rows: {(out / 'index.html').absolute()}")
