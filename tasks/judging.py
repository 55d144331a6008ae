"""A judge at work for scoring: its key, its cache under the root, its budget, and its rulings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from r1vl_core.config import Judge
from r1vl_core.data.teacher.batch import Standing, ask_about_all
from r1vl_core.data.teacher.judging import Disputed, Judgement, judge
from r1vl_core.evaluation.benchmarks.rulings import Ruling
from r1vl_core.evaluation.benchmarks.scoring import Undecided
from tasks.teaching import open_cache, service


def judge_all(
    dials: Judge,
    root: Path,
    log: Callable[[str], None],
    undecided: Sequence[Undecided],
    on_progress: Callable[[Standing], None] = lambda standing: None,
    scope: str | None = None,
) -> list[Ruling]:
    """A ruling on each response that no rule decides; those the judge cannot decide either stay unresolved, and say why.

    Answers are kept in judge.duckdb under the root before they are used: a second scoring asks nothing. The budget holds for all scorings
    of these responses together, or for all that name the same `scope`. Raises TeacherStopped when the budget is spent or the judge is out,
    ValueError for what the user must mend.
    """
    rulings = [one.ruling for one in undecided]

    def note(place: int, found: Judgement) -> None:
        rulings[place] = _ruling(undecided[place].ruling, found)

    with open_cache(root, log, dials.ROLE) as cache:
        disputed = [_disputed(one) for one in undecided]
        ask_about_all(disputed, judge, service(dials, scope or _scope(undecided)), cache, note, on_progress)
    return rulings


def _disputed(one: Undecided) -> Disputed:
    return Disputed(one.question, one.row["answer"], one.response, partial(_put_to_rule, one))


def _put_to_rule(one: Undecided, answer: str) -> bool | None:
    ruling = one.rule(answer)
    return None if ruling.decided_by == "unresolved" else ruling.correct


def _ruling(before: Ruling, found: Judgement) -> Ruling:
    how = f"{before.rule}; judge: {found.how}"
    if found.correct is None:
        return Ruling(before.extracted, False, how, "unresolved")
    return Ruling(found.extracted, found.correct, how, "judge")


def _scope(undecided: Sequence[Undecided]) -> str:
    said = json.dumps([[one.question, one.response] for one in undecided])
    return hashlib.sha256(said.encode()).hexdigest()
