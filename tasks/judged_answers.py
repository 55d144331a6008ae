"""Answers of `r1vl eval` ruled on anew, with a judge where no rule decides: an artifact of its own, which asks no policy anything.

The answers come out of the evaluation's artifact; what the judge said is kept as for `r1vl score`, in judge.duckdb under the root.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from r1vl_core.config import Judge, Preset
from r1vl_core.data import responses as stored
from r1vl_core.data.responses import ResponseRow
from r1vl_core.data.teacher.judging import PROMPTS
from r1vl_core.prompts import prompt_digest
from tasks import benchmarks
from tasks.answer_files import Key
from tasks.benchmark_results import keep
from tasks.benchmarks import Request
from tasks.inputs import Inputs
from tasks.judging import judge_all
from tasks.recipe import Recipe
from tasks.stages import Build, Stage
from tasks.store import Artifact
from tasks.teaching import progress

NAME = "judged"
REVISION = 1

NUM_FAILED = "judge_failed"
"""The note that counts verdicts the judge failed at, which stay unresolved until it is asked again."""


def stage_of(request: Request, dials: Judge) -> Stage:
    """The stage that judges the request's answers. Its build raises TeacherStopped when the budget is spent or the judge is out."""

    def recipe(_preset: Preset, inputs: Inputs) -> Recipe:
        files = {file.name: inputs.file(file.path) for file in request.files}
        prompts = {name: prompt_digest(name) for name in PROMPTS}
        return Recipe(NAME, REVISION, {"judge": dials.identity()}, {**inputs, **files}, prompts)

    def build(job: Build) -> Mapping[str, Any]:
        judge = partial(
            judge_all, dials, job.root, job.log, on_progress=lambda standing: job.log(f"judge: {progress(standing)}"), scope=job.recipe.key
        )
        notes = keep(job, request, _answers(job.inputs[benchmarks.NAME]), judge, dials)
        failed = sum(
            one.decided_by == "unresolved" and "; judge: failed" in one.rule
            for profile in ("paper", "current")
            for one in stored.read_verdicts(job.out / stored.FILE, profile)
        )
        return {**notes, NUM_FAILED: failed}

    return Stage(NAME, (benchmarks.NAME,), recipe, build)


def _answers(evaluation: Artifact) -> dict[Key, list[ResponseRow]]:
    found: dict[Key, list[ResponseRow]] = {}
    for one in stored.read_responses(evaluation.path / stored.FILE):
        found.setdefault((one.benchmark, one.row_index), []).append(one)
    return found
