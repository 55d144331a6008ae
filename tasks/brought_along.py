"""Key steps that were brought along, by a file laid over the questions or by their own source, and what was left out of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from r1vl_core.data.given import GivenRecord, Stood, read_given, standing
from r1vl_core.data.laid_over import LaidOver, examples, lay_over, spelled
from r1vl_core.records import Question, Rejected

_NAMED = 3
"""Ids of records that belong to no question which a line names."""


@dataclass(frozen=True)
class Extracted:
    """The key steps of a question, by whom; or the reason why it has none.

    >>> Extracted((("6/3 = 2",),), "rules").by
    'rules'
    """

    key_steps: tuple[tuple[str, ...], ...]
    by: str
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Brought:
    """What was brought along, by a question's place; and what was left out of the file, a row each: whole records, and key steps, or forms
    of them, of questions that have others.

    >>> Brought().left_out
    []
    """

    by_place: dict[int, Extracted] = field(default_factory=dict)
    left_out: list[Rejected] = field(default_factory=list)


def bring(file: Path | None, curated: Sequence[Question], questions: Sequence[Question], log: Callable[[str], None]) -> Brought:
    """Key steps by the file laid over all, else by each question's source; `questions` are drawn from the curated ones.

    What was left out is told. Raises ValueError for a file of which nothing can be used.
    """
    laid = LaidOver() if file is None else lay_over(read_given(file), curated, frozenset(question.id for question in questions))
    brought = Brought()
    by_sources: Counter[str] = Counter()
    for place, question in enumerate(questions):
        record = laid.by_question.get(question.id)
        key_steps = question.key_steps if record is None else record.key_steps
        if not key_steps:
            continue
        stood = standing(key_steps, question.reference_path)
        brought.by_place[place] = _extracted(stood, "its source" if file is None or record is None else f"{file.name}, line {record.line}")
        if stood.kept and file is not None and record is not None:
            brought.left_out.extend(_rows(file, record, question, stood))
        elif stood.kept:
            by_sources.update(reason for _, reason in stood.left_out)
    if by_sources:
        log(f"{by_sources.total()} key steps that sources brought along were left out, or forms of them ({_counted(by_sources)})")
    if file is not None:
        brought.left_out.extend(_whole(file, laid))
        _tell(file, laid, brought, curated, log)
    return brought


def _extracted(stood: Stood, whence: str) -> Extracted:
    detail = "" if stood.kept else f"the reference path reaches none of the {len(stood.left_out)} key steps of {whence}"
    return Extracted(stood.kept, "given", "" if stood.kept else "path_misses_key_steps", detail)


def _rows(file: Path, record: GivenRecord, question: Question, stood: Stood) -> Iterable[Rejected]:
    for number, reason in stood.left_out:
        raw = json.dumps(record.key_steps[number - 1], ensure_ascii=False)
        yield Rejected(file.name, record.line, reason, f"key step {number} of question {question.id}", raw)


def _whole(file: Path, laid: LaidOver) -> Iterable[Rejected]:
    for record, reason, detail in laid.left_out:
        raw = json.dumps([record.whose, record.key_steps], ensure_ascii=False)
        yield Rejected(file.name, record.line, reason, detail, raw)


def _tell(file: Path, laid: LaidOver, brought: Brought, curated: Sequence[Question], log: Callable[[str], None]) -> None:
    unknown = [spelled(one.record.whose) for one in laid.left_out if one.reason == "unknown_question"]
    named = f"{', '.join(unknown[:_NAMED])}{' …' if len(unknown) > _NAMED else ''}; {examples(curated)}"
    if not laid.by_question:
        others = _counted(Counter(one.reason for one in laid.left_out))
        raise ValueError(
            f"{file}: none of its {len(laid.left_out)} records belongs to a curated question that is drawn ({others}); {examples(curated)},"
            " and `r1vl key-steps export` writes them all"
        )
    log(f"{len(laid.by_question)} questions have key steps from {file.name}")
    if unknown:
        log(f"{len(unknown)} of its records belong to no curated question: {named}")
    if brought.left_out:
        reasons = _counted(Counter(one.reason for one in brought.left_out))
        where = f"SELECT row, reason, detail FROM rejected WHERE source = '{file.name.replace(chr(39), chr(39) * 2)}'"
        log(f'left out of {file.name}: {reasons}; row is the line: r1vl sql --artifact key_steps "{where}"')


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in reasons.most_common())
