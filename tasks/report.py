"""Stage 6: one self-contained page of what was learnt, from the artifacts of all other stages."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from r1vl_core.config import Preset
from r1vl_core.data import database, rollouts
from r1vl_core.data.images import find_image
from r1vl_core.evaluation.benchmarks.tsv import read_tsv
from r1vl_core.records import BenchmarkRow, Question, Rejected, ScoredResponse, SourceCount
from r1vl_core.report import stalls
from r1vl_core.reporting.data import (
    Curation,
    GroupView,
    HeldOutView,
    KeyStepsRow,
    Mark,
    PathView,
    PolicyResult,
    RejectReason,
    ReportData,
    StageRow,
)
from r1vl_core.reporting.page import render_report
from tasks import curate, key_steps
from tasks.evaluate import POLICIES, SUMMARY, responses_file
from tasks.inputs import Inputs
from tasks.recipe import Recipe
from tasks.reports import read_reports
from tasks.stages import Build, Stage
from tasks.store import Artifact
from tasks.world import heldout_file, image_roots

REVISION = 3
PAGE = "report.html"
T = TypeVar("T")

_TITLES = {"warmup": "warm-up", "stepgrpo": "StepGRPO"}


def recipe(preset: Preset, inputs: Inputs) -> Recipe:
    """All that stands on the page; the preset's name and words too, which no other recipe holds."""
    settings = {**preset.report.model_dump(mode="json"), "name": preset.name, "description": preset.description, "seed": preset.seed}
    if preset.evaluate.data is not None:
        settings["heldout"] = inputs.file(preset.evaluate.data)
    return Recipe("report", REVISION, settings, inputs)


def build(job: Build) -> Mapping[str, Any]:
    """Gather and write the page."""
    page = render_report(gather(job.preset, job.inputs))
    (job.out / PAGE).write_text(page, encoding="utf-8")
    job.log(f"report: {len(page) // 1024} KiB, opens without a network")
    return {"files": [PAGE]}


def gather(preset: Preset, inputs: Mapping[str, Artifact]) -> ReportData:
    """What the page shows, read from the artifacts."""
    from r1vl_core.evaluation.evaluate import compare, read_responses  # torch is imported only where a stage is really built

    responses = {name: read_responses(inputs["evaluate"].path / responses_file(name)) for name in POLICIES}
    summary = json.loads((inputs["evaluate"].path / SUMMARY).read_text(encoding="utf-8"))
    rows = list(read_tsv(heldout_file(preset, inputs)))
    partial = summary["partial"]
    reports = read_reports(inputs["stepgrpo"].path)
    notes = [f"Partial: the first {partial['answered']} of {partial['all']} held-out questions."] if partial else []
    return ReportData(
        preset=preset.name,
        description=preset.description,
        seed=preset.seed,
        created=f"{_minute(inputs['evaluate'])} UTC",
        stages=tuple(StageRow(name, _minute(a), float(a.made["seconds"]), a.key) for name, a in inputs.items()),
        policies=tuple(_result(name, responses[name], summary[name]) for name in POLICIES),
        comparison=compare(responses["warmup"], responses["stepgrpo"]),
        reports=reports,
        warmup_reports=read_reports(inputs["warmup"].path),
        curation=curation_of(inputs),
        groups=_groups(preset, inputs),
        heldout=_heldout(rows, responses, preset.report.num_responses),
        num_heldout_total=len(rows),
        notes=(*notes, *(f"StepGRPO, {stall}." for stall in stalls(reports))),
    )


def _minute(artifact: Artifact) -> str:
    """When an artifact was made, UTC."""
    return f"{datetime.fromisoformat(str(artifact.made['created'])):%Y-%m-%d %H:%M}"


def _result(name: str, responses: Sequence[ScoredResponse], summary: Mapping[str, Any]) -> PolicyResult:
    from r1vl_core.evaluation.evaluate import is_right

    families: Counter[str] = Counter(row.category for row in responses)
    right: Counter[str] = Counter(row.category for row in responses if is_right(row))
    return PolicyResult(
        name=_TITLES[name],
        num_correct=sum(right.values()),
        num_questions=len(responses),
        families=tuple((family, right[family], families[family]) for family in sorted(families)),
        mean_step_rar=summary.get("mean_step_rar"),
        mean_step_rvr=summary["mean_step_rvr"],
        mean_num_tokens=summary["mean_num_tokens"],
        share_truncated=summary["share_truncated"],
    )


def curation_of(inputs: Mapping[str, Artifact]) -> Curation:
    """What became of the records, by source and by reason, and the key steps of the questions, from the two stages' artifacts."""
    path = inputs["curate"].path / curate.DATABASE
    counts = database.counts(path)
    examples: dict[str, Rejected] = {}
    for row in database.read_rejected(path):
        examples.setdefault(row.reason, row)
    rejects = tuple(
        RejectReason(reason, number, examples[reason].source, examples[reason].row, examples[reason].detail, examples[reason].raw)
        for reason, number in sorted(counts.rejected_by_reason.items(), key=lambda item: -item[1])
    )
    aside = inputs["curate"].path / curate.VALIDATION
    num_aside = database.counts(aside).num_accepted if aside.exists() else 0
    return Curation(
        num_records=counts.num_read + num_aside,
        num_accepted=counts.num_accepted + num_aside,
        rejects=rejects,
        sources=_sources(path, aside if num_aside else None),
        key_steps=_key_steps(inputs["key_steps"].notes["metrics"]),
        num_set_aside=num_aside,
    )


def _sources(path: Path, aside: Path | None) -> tuple[SourceCount, ...]:
    """Every source; the questions that were set aside are its own too."""
    counted = database.counts(aside).accepted_by_source if aside is not None else {}
    return tuple(replace(one, num_accepted=one.num_accepted + counted.get(one.name, 0)) for one in database.source_counts(path))


def _key_steps(metrics: Mapping[str, Any]) -> KeyStepsRow:
    by = {name.removeprefix("num_by_"): number for name, number in metrics.items() if name.startswith("num_by_")}
    by_share = tuple(sorted(by.items(), key=lambda item: -item[1]))
    return KeyStepsRow(metrics["num_questions"], metrics["mean_key_steps"], metrics["num_without_key_steps"], by_share)


def _groups(preset: Preset, inputs: Mapping[str, Artifact]) -> tuple[GroupView, ...]:
    """Groups spread evenly over the run, each with its picture."""
    asked = inputs["key_steps"].path / key_steps.DATABASE
    roots = image_roots(preset, inputs)
    folder = inputs["stepgrpo"].path / rollouts.FOLDER
    groups = rollouts.read_groups(folder, spread(rollouts.rollout_keys(folder), preset.report.num_groups))
    return tuple(
        _group(step, database.find_questions(asked, paths[0]["question_id"], 1).first[0], roots, paths)
        for (step, _), paths in groups.items()
    )


def _group(step: int, question: Question, roots: Mapping[str, Path], samples: Iterable[dict[str, Any]]) -> GroupView:
    return GroupView(
        step=step,
        question_id=question.id,
        family=question.source,
        question=question.text,
        choices=question.choices,
        gold=question.answer,
        key_steps=question.key_steps,
        image=find_image(roots[question.source], question.image).read_bytes(),
        paths=tuple(_path(sample) for sample in samples),
    )


def _path(sample: Mapping[str, Any]) -> PathView:
    return PathView(
        text=sample["text"],
        step_rar=sample["step_rar"],
        step_rvr=sample["step_rvr"],
        advantage=sample["advantage"],
        k=sample["k"],
        verdict=sample["verdict"],
        answer=sample["answer"] or "",
        marks=tuple(Mark(mark["key_step"], mark["start"], mark["end"], mark["form"]) for mark in sample["marks"]),
        missed=tuple(sample["missed"]),
        num_tokens=sample["num_tokens"],
        truncated=sample["truncated"],
    )


def _heldout(rows: Sequence[BenchmarkRow], responses: Mapping[str, Sequence[ScoredResponse]], count: int) -> tuple[HeldOutView, ...]:
    by_policy = [{response.index: response for response in responses[name]} for name in POLICIES]
    answered = [row for row in rows if all(row.index in table for table in by_policy)]
    return tuple(
        HeldOutView(
            row.index, row.category, row.question, row.choices, row.answer, row.image, tuple(table[row.index] for table in by_policy)
        )
        for row in spread(answered, count)
    )


def spread(items: Sequence[T], count: int) -> list[T]:
    """`count` of the items, evenly spread and in order; all when there are fewer.

    >>> spread([0, 1, 2, 3, 4, 5], 3)
    [0, 2, 4]
    """
    if len(items) <= count:
        return list(items)
    return [items[place * len(items) // count] for place in range(count)]


STAGE = Stage("report", ("world", "curate", "key_steps", "warmup", "stepgrpo", "evaluate"), recipe, build)
