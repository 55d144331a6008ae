"""Stage 2: key steps with equivalent forms for every question, in one database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any

from r1vl_core.config import Preset
from r1vl_core.data import database
from r1vl_core.data.extract import extract_each
from r1vl_core.data.shards import cut
from r1vl_core.records import Question, Rejected
from tasks import curate
from tasks.inputs import Inputs
from tasks.recipe import Recipe
from tasks.stages import Build, Stage

REVISION = 3
DATABASE = "key_steps.duckdb"
SHARD = 4096
"""Questions handed to a worker at a time, about a second of its work."""


def recipe(preset: Preset, inputs: Inputs) -> Recipe:
    """The extractor's settings and the curated questions."""
    return Recipe("key_steps", REVISION, preset.key_steps.model_dump(mode="json"), inputs)


def build(job: Build) -> Mapping[str, Any]:
    """Extract, store; a question whose path yields no key step is set aside, with the reason."""
    questions: list[Question] = []
    rejected: list[Rejected] = []
    curated = database.read_questions(job.inputs["curate"].path / curate.DATABASE)
    for row, (question, key_steps) in enumerate(zip(curated, _extract(job, curated), strict=True)):
        if key_steps:
            questions.append(replace(question, key_steps=key_steps))
        else:
            detail = "the steps hold no equation, quantity or named thing"
            rejected.append(Rejected(question.source, row, "no_key_steps", detail, question.reference_path))
    if not questions:
        raise ValueError("no question has a key step; look at the reference paths of the curated database")
    path = job.out / DATABASE
    database.write_key_steps(path, questions, rejected)
    metrics = {
        "num_questions": len(questions),
        "num_without_key_steps": len(rejected),
        "mean_key_steps": fmean(len(question.key_steps) for question in questions),
        "mean_forms": fmean(len(forms) for question in questions for forms in question.key_steps),
    }
    job.log(f"{len(questions)} questions with {metrics['mean_key_steps']:.1f} key steps on average, {len(rejected)} without any")
    content = {DATABASE: database.content_digest(path)}
    if (set_aside := job.inputs["curate"].path / curate.VALIDATION).exists():
        shutil.copyfile(set_aside, job.out / curate.VALIDATION)
        content[curate.VALIDATION] = database.content_digest(set_aside)
    return {"content": content, "metrics": metrics}


def _extract(job: Build, questions: Sequence[Question]) -> Iterator[tuple[tuple[str, ...], ...]]:
    """Each question's key steps, shard by shard."""
    extract = partial(extract_each, max_key_steps=job.preset.key_steps.max_key_steps)
    with job.engine(job.runtime) as map_shards:
        for found in map_shards(extract, cut([question.reference_path for question in questions], SHARD)):
            yield from found


STAGE = Stage("key_steps", ("curate",), recipe, build)
