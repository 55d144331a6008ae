"""`r1vl audit-rewards`: can the rewards be fooled, and do they tell right from wrong? A table, and a page beside the other results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from flows.results import read_result
from flows.runtime import ready_root
from flows.scoring import check_one_input
from r1vl_core.config import Hardening
from r1vl_core.data.scoring import read_question_file, read_responses
from r1vl_core.reasoning.audit import Area, Audit, audit
from r1vl_core.records import Question
from tasks.files import BrokenArtifact, write_atomically
from tasks.store import Store

PAGE = "audit.html"
"""Name of the page under the root, unless another is asked for."""


def audit_rewards(
    root: Path,
    questions: Path | None,
    responses: Path | None,
    hardenings: Sequence[Hardening],
    *,
    alpha: float,
    limit: int,
    page: Path | None,
    as_json: bool,
) -> None:
    """Audit the given files, or what the last run of the pipeline left; print the table (or JSON) and write the page.

    Raises ValueError naming what is missing and the cure.
    """
    source, asked, sampled = _given(questions, responses) if questions else _of_last_run(root, responses)
    found = audit(source, asked, sampled, hardenings, alpha, limit)
    where = page or ready_root(root) / PAGE
    from r1vl_core.reporting.audit_page import render_audit  # its template engine is loaded when there is something to draw

    write_atomically(where, render_audit(found, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"))
    if as_json:
        print(json.dumps({**asdict(found), "page": str(where)}, indent=1))
    else:
        print_audit(Console(), found)
        print(f"page  {where}")


def print_audit(console: Console, found: Audit) -> None:
    """The measures as tables."""
    if found.sampled:
        console.print(_discrimination_table(found))
    if found.attacked:
        console.print(_attack_table(found))
        for hardening, hacked in found.attacked.items():
            kept, alone = hacked.num_kept / hacked.num_honest, hacked.num_kept_unforgiven / hacked.num_honest
            line = f"{hardening}: {kept:.1%} of {hacked.num_honest} honest paths keep the paper's reward ({alone:.1%} by the rules alone)"
            console.print(line, soft_wrap=True, highlight=False)


def _given(questions: Path, responses: Path | None) -> tuple[str, list[Question], list[tuple[str, str]]]:
    check_one_input(questions, responses)
    asked = [one.question for one in read_question_file(questions)]
    sampled = _sampled(responses, {question.id for question in asked}, questions) if responses else []
    return "standard input" if str(questions) == "-" else questions.name, asked, sampled


def _of_last_run(root: Path, responses: Path | None) -> tuple[str, list[Question], list[tuple[str, str]]]:
    """Questions with key steps and sampled paths of the last pipeline run's artifacts."""
    from r1vl_core.data.database import read_questions
    from r1vl_core.data.rollouts import FOLDER, sampled_paths
    from tasks import key_steps

    stages, store = read_result(root).stages, Store(root)
    missing = [name for name in ("key_steps", "stepgrpo") if name not in stages]
    if missing:
        raise ValueError(
            f"the last run has no stage {missing[0]}; run the whole pipeline (`r1vl run tiny`) or give --questions and --responses"
        )
    try:
        artifacts = {name: store.read(stages[name].key, "size") for name in ("key_steps", "stepgrpo")}
    except (BrokenArtifact, FileNotFoundError) as error:
        raise ValueError(f"the last run's artifacts are not whole ({error}); run the pipeline again") from None
    database = artifacts["key_steps"].path / key_steps.DATABASE
    asked = read_questions(database)
    names = {question.id for question in asked}
    sampled = _sampled(responses, names, database) if responses else list(sampled_paths(artifacts["stepgrpo"].path / FOLDER))
    return "the last run of the pipeline", asked, sampled


def _sampled(responses: Path, names: set[str], questions: Path) -> list[tuple[str, str]]:
    sampled = []
    for response in read_responses(responses):
        if response.id not in names:
            raise ValueError(
                f"{response.place}: no question with the id {response.id!r:.80} in {questions}; correct the id or add the question"
            )
        sampled.append((response.id, response.text))
    return sampled


def _discrimination_table(found: Audit) -> Table:
    (first, *_) = found.sampled.values()
    table = Table(title=f"Right or wrong: {first.num_paths} sampled paths, {first.num_right} right", title_justify="left")
    for name in ("AUROC of", "hardening", "area", "95 % interval", "within a question"):
        table.add_column(name, justify="left" if name in ("AUROC of", "hardening") else "right", no_wrap=True)
    for field, name in (("k", "k"), ("step_rvr", "StepRVR"), ("total", "total reward")):
        for hardening, one in found.sampled.items():
            table.add_row(name, hardening, *_area(getattr(one, field)))
    return table


def _area(area: Area) -> tuple[str, str, str]:
    if area.value is None or area.low is None or area.high is None:
        return "–", "–", "–"
    return f"{area.value:.3f}", f"{area.low:.3f} – {area.high:.3f}", "–" if area.within is None else f"{area.within:.3f}"


def _attack_table(found: Audit) -> Table:
    table = Table(title="Attacked paths that earn at least what the honest path does", title_justify="left")
    table.add_column("attack", no_wrap=True)
    table.add_column("paths", justify="right")
    for hardening in found.attacked:
        table.add_column(hardening, justify="right", no_wrap=True)
        table.add_column("mean\nreward", justify="right", no_wrap=True)
    for results in zip(*(hacked.attacks for hacked in found.attacked.values()), strict=True):
        cells = [cell for one in results for cell in ((f"{one.share:.1%}", f"{one.mean_reward:.2f}") if one.num_paths else ("–", "–"))]
        table.add_row(results[0].name.replace("_", " "), str(results[0].num_paths), *cells)
    return table
