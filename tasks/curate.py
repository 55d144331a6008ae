"""Stage 1: raw records to validated questions and rejects with reasons, in one database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from r1vl_core.config import Preset, Source
from r1vl_core.data import curate, database
from r1vl_core.data.readers import read_records
from r1vl_core.data.set_aside import set_aside
from r1vl_core.evaluation.benchmarks.tsv import read_tsv
from r1vl_core.records import Question, RawRecord, Rejected, asked
from tasks.checkpoints import check_model, digest_checkpoint, find_checkpoint
from tasks.image_memory import StoredImageMemory
from tasks.inputs import DIGESTS, Inputs
from tasks.recipe import Recipe
from tasks.stages import Build, Stage
from tasks.world import check_heldout, heldout_file, image_roots, sources

REVISION = 2
DATABASE = "curated.duckdb"
_CURES = {
    "missing_image": "; its path starts at this source's `images`, {images}",
    "unparsable_path": "; a reasoning path has sections, see the README",
    "no_answer": "; a reasoning path ends in its answer, see the README",
}
"""What to do where a reject's detail does not say it."""

VALIDATION = "validation.duckdb"
"""Questions set aside, where there are any; handed on by the stages between curation and StepGRPO."""


def recipe(preset: Preset, inputs: Inputs) -> Recipe:
    """What is read, by content; what counts tokens; what a record must fulfil."""
    settings: dict[str, Any] = {
        **preset.curate.identity(),
        "max_pixels": preset.max_pixels,
        "model": digest_checkpoint(preset, inputs),
        "sources": [
            {"name": source.name, "licence": source.licence, "file": inputs.file(source.path), "images": inputs.folder(source.images)}
            for source in preset.sources
        ],
    }
    if preset.evaluate.data is not None and preset.curate.contamination:
        settings["heldout"] = inputs.file(preset.evaluate.data)
    return Recipe("curate", REVISION, settings, inputs, prompts_of(preset))


def build(job: Build) -> Mapping[str, Any]:
    """Read, check, store."""
    from r1vl_core.policy.model import load_policy  # torch is imported only where a stage is really built

    preset, settings = job.preset, job.preset.curate
    policy = load_policy(find_checkpoint(preset), prompt=preset.prompt, max_pixels=preset.max_pixels, weights=False)
    files = sources(preset, job.inputs)
    heldout = read_tsv(heldout_file(preset, job.inputs)) if settings.contamination else ()

    def count_prompt_tokens(question: Question, width: int, height: int) -> int:
        return policy.count_prompt_tokens(asked(question.text, question.choices), width, height)

    def records() -> Iterator[RawRecord]:
        for source in files:
            yield from read_records(source)

    checks = curate.Checks(
        settings,
        image_roots(preset, job.inputs),
        count_prompt_tokens,
        policy.count_path_tokens,
        curate.held_out_questions(heldout, settings.max_image_pixels),
    )
    memory = StoredImageMemory(job.root / DIGESTS)
    with job.engine(job.runtime) as map_shards:
        found = curate.curate(
            records(), checks, memory=memory, map_shards=map_shards, on_progress=lambda done: job.log(f"{done} records read")
        )
    if not found.questions:
        raise ValueError(f"none of {found.num_read} records became a question; {_first_reject(found.rejected, files)}")
    path = job.out / DATABASE
    questions, validation = set_aside(found.questions, settings.eval_questions)
    database.write_curated(path, questions, found.rejected, files)
    content = {DATABASE: database.content_digest(path)}
    if validation:
        database.write_curated(job.out / VALIDATION, validation, (), files)
        content[VALIDATION] = database.content_digest(job.out / VALIDATION)
    counts = database.counts(path)
    reasons = ", ".join(f"{reason} {number}" for reason, number in counts.rejected_by_reason.items()) or "none"
    aside = f" and {len(validation)} set aside" if validation else ""
    job.log(f"{found.num_read} records read: {counts.num_accepted} questions{aside}, {counts.num_rejected} rejected ({reasons})")
    if counts.num_rejected:
        job.log('each rejected record with its reason: r1vl sql --artifact curate "SELECT source, row, reason, detail FROM rejected"')
    return {
        "content": content,
        "metrics": {
            "num_records": found.num_read,
            "num_questions": counts.num_accepted,
            "num_rejected": counts.num_rejected,
            **({"num_validation": len(validation)} if validation else {}),
            **{f"rejected_{reason}": number for reason, number in counts.rejected_by_reason.items()},
        },
    }


def prompts_of(preset: Preset) -> dict[str, str]:
    """Digest of the prompt template that every stage with a policy uses."""
    from r1vl_core.prompts import prompt_digest

    return {preset.prompt: prompt_digest(preset.prompt)}


def looks(preset: Preset) -> Iterator[Callable[[], object]]:
    """At the checkpoint, at each source up to its first question, and at the held-out file."""
    yield partial(check_model, preset)
    for source in preset.sources:
        yield partial(_find_a_question, source, preset)
    if preset.curate.contamination:
        yield partial(check_heldout, preset)


def _find_a_question(source: Source, preset: Preset) -> None:
    """Read on to the first record that becomes a question, of whatever length: where all is well, that is one record.

    Raises ValueError naming the first reject when none does, as building would when it had read them all.
    """
    checks = curate.Checks(preset.curate, {source.name: source.images}, lambda *_: 0, lambda _: 0)
    rejected: list[Rejected] = []
    for record in read_records(source):
        (outcome,) = curate.judge([record], checks)
        if not isinstance(outcome, Rejected):
            return
        rejected.append(outcome)
    raise ValueError(f"source {source.name}: none of {len(rejected)} records becomes a question; {_first_reject(rejected, [source])}")


STAGE = Stage("curate", ("world",), recipe, build, looks=looks)


def _first_reject(rejected: Sequence[Rejected], sources: Sequence[Source]) -> str:
    """What became of the first record, and what to do about it."""
    if not rejected:
        return f"{', '.join(str(source.path) for source in sources)}: no records in it"
    first = rejected[0]
    source = next(source for source in sources if source.name == first.source)
    cure = _CURES.get(first.reason, "").format(images=source.images)
    return f"the first, row {first.row} of {first.source} ({source.path}), is rejected as {first.reason}: {first.detail}{cure}"
