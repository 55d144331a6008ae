"""Stage 2: key steps with equivalent forms for every question, in one database.

They come from whoever knows best: a file laid over the questions, the source that brought them along, else the extractor.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any

from r1vl_core.config import Preset
from r1vl_core.data import database
from r1vl_core.data.extract import extract_each
from r1vl_core.data.given import read_given
from r1vl_core.data.sampling import draw
from r1vl_core.data.shards import cut
from r1vl_core.records import Question, Rejected
from r1vl_core.report import Report
from tasks import curate
from tasks.brought_along import Brought, Extracted, bring
from tasks.inputs import Inputs
from tasks.recipe import Recipe
from tasks.stages import Build, Stage
from tasks.world import weights_of

REVISION = 8
DATABASE = "key_steps.duckdb"
SHARD = 4096
"""Questions handed to a worker at a time, about a second of its work."""

TEACHER = "teacher.duckdb"
"""The teacher's calls, what fell of its answers, and where it failed; only there when one was asked."""


LIST_SET_ASIDE = 'r1vl sql --artifact key_steps "SELECT source, row, reason, detail FROM rejected"'
"""The command that shows why a question has no key steps."""

ASK_AGAIN = "r1vl run PRESET --until key_steps --force"
"""What a teacher that was out now and then is asked again by: what it answered is in the cache, whatever it was."""


def recipe(preset: Preset, inputs: Inputs) -> Recipe:
    """The extractor's settings, the teacher with its prompts where one is asked, and the curated questions."""
    dials = preset.key_steps
    settings = dials.identity("teacher", "laid_over", *(("fallback",) if dials.extractor == "rules" else ()))
    if dials.laid_over is not None:
        settings["laid_over"] = inputs.file(dials.laid_over)
    if dials.max_questions:
        settings |= {"seed": preset.seed, "weights": weights_of(preset)}
    if dials.extractor == "rules":
        return Recipe("key_steps", REVISION, settings, inputs)
    from r1vl_core.data.teacher.lesson import PROMPTS
    from r1vl_core.prompts import prompt_digest

    assert dials.teacher is not None, "checked with the preset"
    return Recipe("key_steps", REVISION, {**settings, "teacher": dials.teacher.identity()}, inputs, {n: prompt_digest(n) for n in PROMPTS})


def build(job: Build) -> Mapping[str, Any]:
    """Extract, store; a question whose path yields no key step is set aside, with the reason."""
    questions, brought = _drawn(job.preset, database.read_questions(job.inputs["curate"].path / curate.DATABASE), job.log)
    extracted = _extract(job, questions, brought.by_place)
    accepted, rejected = [], []
    for row, (question, found) in enumerate(zip(questions, extracted, strict=True), 1):
        if found.key_steps:
            accepted.append(replace(question, key_steps=found.key_steps))
        else:
            rejected.append(Rejected(question.source, row, found.reason, found.detail, question.reference_path))
    if not accepted:
        reasons = ", ".join(f"{reason} {number}" for reason, number in Counter(one.reason for one in rejected).most_common())
        raise ValueError(f"no question has a key step ({reasons}); look at the reference paths of the curated database")
    path = job.out / DATABASE
    database.write_key_steps(path, accepted, [*rejected, *brought.left_out])
    metrics = {
        "num_questions": len(accepted),
        "num_without_key_steps": len(rejected),
        "mean_key_steps": fmean(len(question.key_steps) for question in accepted),
        "mean_forms": fmean(len(forms) for question in accepted for forms in question.key_steps),
        **({"num_given_left_out": len(brought.left_out)} if brought.left_out else {}),
        **_by_whom(extracted),
    }
    job.log(f"{len(accepted)} questions with {metrics['mean_key_steps']:.1f} key steps on average, {len(rejected)} without any")
    if rejected:
        job.log(f"each question without key steps, and why: {LIST_SET_ASIDE}")
    return {"content": {DATABASE: database.content_digest(path), **_beside(job)}, "metrics": metrics}


def to_extract(preset: Preset, curated: Sequence[Question], log: Callable[[str], None]) -> list[Question]:
    """The questions that an extractor is asked about: those drawn, but for those whose key steps are brought along; these are told."""
    questions, brought = _drawn(preset, curated, log)
    return [question for place, question in enumerate(questions) if place not in brought.by_place]


def _drawn(preset: Preset, curated: Sequence[Question], log: Callable[[str], None]) -> tuple[list[Question], Brought]:
    """The questions of the stage, and what is brought along for them."""
    questions = draw(curated, preset.key_steps.max_questions, weights_of(preset), preset.seed)
    return questions, bring(preset.key_steps.laid_over, curated, questions, log)


def _extract(job: Build, questions: Sequence[Question], brought: Mapping[int, Extracted]) -> list[Extracted]:
    """Key steps of every question: those brought along, by a question's place, and for the others by the extractor."""
    extracted = dict(brought)
    places = [place for place in range(len(questions)) if place not in extracted]
    by_extractor = _taught if job.preset.key_steps.extractor == "teacher" else _by_rules
    extracted.update(zip(places, by_extractor(job, [questions[place] for place in places]), strict=True))
    return [extracted[place] for place in range(len(questions))]


def _by_rules(job: Build, questions: Sequence[Question]) -> list[Extracted]:
    """Key steps by the offline rules, shard by shard."""
    extract = partial(extract_each, max_key_steps=job.preset.key_steps.max_key_steps)
    with job.engine(job.runtime) as map_shards:
        shards = map_shards(extract, cut([question.reference_path for question in questions], SHARD))
        found: list[tuple[tuple[str, ...], ...]] = []
        for shard in shards:
            found.extend(shard)
            job.on_report(Report(len(found), len(questions), {}))
    detail = "the steps hold no equation, quantity or named thing"
    return [Extracted(key_steps, "rules", "" if key_steps else "no_key_steps", detail) for key_steps in found]


def _taught(job: Build, questions: Sequence[Question]) -> list[Extracted]:
    """Key steps by the teacher, and by its stand-in where it fails."""
    from r1vl_core.data.teacher.calls import writing  # the client of OpenAI is imported only where somebody asks
    from tasks.teaching import teach_in_stage, teacher_of

    dials = job.preset.key_steps
    with writing(job.out / TEACHER, teacher_of(job.preset)) as log:
        lessons = teach_in_stage(job, questions, log)
    extracted = [Extracted(lesson.key_steps, "teacher", lesson.reason and f"teacher_{lesson.reason}", lesson.detail) for lesson in lessons]
    failed = [place for place, lesson in enumerate(lessons) if lesson.reason]
    if failed and dials.fallback == "rules":
        for place, found in zip(failed, _by_rules(job, [questions[place] for place in failed]), strict=True):
            extracted[place] = found
    failures = Counter(lesson.reason for lesson in lessons if lesson.reason)
    told = ", ".join(f"{reason} {number}" for reason, number in failures.most_common()) or "none"
    job.log(f"{len(lessons)} questions asked of {teacher_of(job.preset).model}; failed: {told} (fallback: {dials.fallback})")
    if failures["unreachable"]:
        job.log(f"{failures['unreachable']} questions that got no answer are asked again by {ASK_AGAIN}; all answers are kept")
    return extracted


def _by_whom(extracted: Sequence[Extracted]) -> dict[str, int]:
    """How many questions have their key steps from whom, where not all have them from the rules."""
    by = Counter(found.by for found in extracted if found.key_steps)
    return {f"num_by_{name}": by[name] for name in sorted(by)} if by.keys() - {"rules"} else {}


def _beside(job: Build) -> dict[str, str]:
    """Content digests of what lies beside the database: the teacher's record, and the questions set aside for validation."""
    content = {}
    if (job.out / TEACHER).exists():
        from r1vl_core.data.teacher.calls import calls_digest

        content[TEACHER] = calls_digest(job.out / TEACHER)
    if (set_aside := job.inputs["curate"].path / curate.VALIDATION).exists():
        shutil.copyfile(set_aside, job.out / curate.VALIDATION)
        content[curate.VALIDATION] = database.content_digest(set_aside)
    return content


def looks(preset: Preset) -> Iterator[Callable[[], object]]:
    """At the file laid over the questions, if there is one."""
    if preset.key_steps.laid_over is not None:
        yield partial(read_given, preset.key_steps.laid_over)


STAGE = Stage("key_steps", ("curate",), recipe, build, looks=looks)
