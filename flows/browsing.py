"""`r1vl eval-page`: every answer of an evaluation to look at, or of two side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from flows.benchmark_scores import records
from flows.evaluating import files_of
from flows.judged_runs import evaluation_file
from r1vl_core.evaluation.benchmarks.registry import benchmark
from r1vl_core.evaluation.benchmarks.rulings import BENCHMARKS, PROFILES, Ruling
from r1vl_core.reporting.responses_page import AnswerView
from tasks.responses_page import Answered, Key, read_answered, write


def make_page(root: Path, first: str, second: str | None, data_dir: Path, out: Path | None) -> None:
    """Write the page and say where. Raises ValueError for a run without answers to show, and for a missing benchmark file."""
    given = [first] if second is None else [first, second]
    evaluations = [_answered(root, one) for one in given]
    names = [one.name for one in evaluations]
    if len(set(names)) < len(names):
        names = [f"{name} ({run})" for name, run in zip(names, given, strict=True)]
    asked = {benchmark for one in evaluations for benchmark, _, _ in one.answers}
    files = files_of([name for name in BENCHMARKS if name in asked], data_dir, root)
    out = out or root / "pages" / "-".join("".join(c if c.isalnum() else "_" for c in name) for name in names)[:100]
    num_rows = write(out, evaluations, names, files)
    typer.echo(f"{num_rows:,} rows: {(out / 'index.html').absolute()}")


def _answered(root: Path, given: str) -> Answered:
    place = Path(given)
    return _of_rows(place) if place.is_file() and place.suffix in (".jsonl", ".json") else read_answered(evaluation_file(root, given))


def _of_rows(file: Path) -> Answered:
    """What `r1vl score --rows` wrote. Raises ValueError naming the line that is no such row."""
    answers: dict[Key, AnswerView] = {}
    for place, record in records(file):
        try:
            key, answer = _answer(record)
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{place}: no row with a response; give what `r1vl score --rows` writes, or a run of `r1vl eval`") from None
        if key in answers:
            raise ValueError(f"{place}: row {key[1]!r:.80} stands there already; keep one")
        answers[key] = answer
    if not answers:
        raise ValueError(f"{file}: holds no row; give what `r1vl score --rows` wrote")
    return Answered(file.stem, None, False, 1, answers, {})


def _answer(record: dict[str, Any]) -> tuple[Key, AnswerView]:
    name, index, profile, response = (record[field] for field in ("benchmark", "index", "profile", "response"))
    ruling = Ruling(record["extracted"], record["correct"], record["rule"], record["decided_by"])
    benchmark(name)
    if profile not in PROFILES or not all(isinstance(text, str) for text in (index, response, ruling.extracted, ruling.rule)):
        raise ValueError(profile)
    return (name, index, 0), AnswerView(response, None, False, {profile: ruling})
