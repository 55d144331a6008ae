"""Stage 1: raw records to validated questions and rejects with reasons, in one database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from r1vl_core.config import Preset, Source
from r1vl_core.data import curate, database
from r1vl_core.data.readers import check_end, read_records
from r1vl_core.data.set_aside import Lots
from r1vl_core.evaluation.benchmarks.tsv import read_tsv, read_unseen
from r1vl_core.recent_rate import RecentRate
from r1vl_core.records import BenchmarkRow, Question, Rejected, asked
from tasks.checkpoints import check_model, digest_checkpoint, find_checkpoint
from tasks.image_memory import StoredImageMemory
from tasks.inputs import DIGESTS, Inputs
from tasks.recipe import Recipe
from tasks.stages import Build, Stage
from tasks.world import check_heldout, check_rows, heldout_file, image_roots, sources

REVISION = 8
DATABASE = "curated.duckdb"
LIST_REJECTED = 'r1vl sql --artifact curate "SELECT source, row, reason, detail FROM rejected"'
"""The command that shows what became of each record that was rejected."""

_CURES = {
    "missing_image": "; its path starts at this source's `images`, {images}",
    "unparsable_path": "; a reasoning path has sections, see the README",
}
"""What to do where a reject's detail does not say it."""

VALIDATION = "validation.duckdb"
"""Questions set aside, where there are any; handed on by the stages between curation and StepGRPO."""

_TELL_EVERY_S = 10.0


def recipe(preset: Preset, inputs: Inputs) -> Recipe:
    """What is read, by content; what counts tokens; what a record must fulfil."""
    settings: dict[str, Any] = {
        **preset.curate.identity("contamination_data"),
        "max_pixels": preset.max_pixels,
        "model": digest_checkpoint(preset, inputs),
        "sources": [_source(source, inputs) for source in preset.sources],
    }
    if preset.evaluate.data is not None and preset.curate.contamination:
        settings["heldout"] = inputs.file(preset.evaluate.data)
    if preset.curate.contamination_data and preset.curate.contamination:
        settings["contamination_data"] = [inputs.file(file) for file in preset.curate.contamination_data]
    return Recipe("curate", REVISION, settings, inputs, prompts_of(preset))


def build(job: Build) -> Mapping[str, Any]:
    """Read, check, store; in bounded memory."""
    files = sources(job.preset, job.inputs)
    tally = Tally(job.log, files)
    memory = StoredImageMemory(job.root / DIGESTS)
    with job.engine(job.runtime) as map_shards:
        outcomes = curate.curate(files, _checks(job), memory=memory, map_shards=map_shards)
        content = _store(job, tally.counted(outcomes), files)
    counts = database.counts(job.out / DATABASE)
    num_validation = tally.num_questions - counts.num_accepted
    assert counts.num_read + num_validation == tally.num_read, (counts, tally.num_read)
    reasons = ", ".join(f"{reason} {number}" for reason, number in counts.rejected_by_reason.items()) or "none"
    aside = f" and {num_validation} set aside" if num_validation else ""
    job.log(f"{tally.num_read} records read: {counts.num_accepted} questions{aside}, {counts.num_rejected} rejected ({reasons})")
    if counts.num_rejected:
        job.log(f"each rejected record with its reason: {LIST_REJECTED}")
    return {
        "content": content,
        "metrics": {
            "num_records": tally.num_read,
            "num_questions": counts.num_accepted,
            "num_rejected": counts.num_rejected,
            **({"num_validation": num_validation} if num_validation else {}),
            **{f"rejected_{reason}": number for reason, number in counts.rejected_by_reason.items()},
        },
    }


def _checks(job: Build) -> curate.Checks:
    from r1vl_core.policy.model import load_policy  # torch is imported only where a stage is really built

    preset, settings = job.preset, job.preset.curate
    policy = load_policy(find_checkpoint(preset), prompt=preset.prompt, max_pixels=preset.max_pixels, weights=False)

    def count_prompt_tokens(question: Question, width: int, height: int) -> int:
        return policy.count_prompt_tokens(asked(question.text, question.choices), width, height)

    held_out = [item for rows, name in _held_out(job) for item in curate.held_out_questions(rows, settings.max_image_pixels, name)]
    roots = image_roots(preset, job.inputs)
    return curate.Checks(settings, roots, count_prompt_tokens, policy.count_path_tokens, held_out, policy.tokenizer_json)


def _held_out(job: Build) -> list[tuple[Iterator[BenchmarkRow], str]]:
    """The rows of each evaluation file that must stay unseen, with what it is called in a reject."""
    settings = job.preset.curate
    if not settings.contamination:
        return []
    others = [(read_unseen(file), file.name) for file in settings.contamination_data]
    return [(read_tsv(heldout_file(job.preset, job.inputs)), "the held-out set"), *others]


def _store(job: Build, outcomes: Iterable[Question | Rejected], files: Sequence[Source]) -> dict[str, str]:
    """Write the database, or both where questions are set aside; their content digests by file name."""
    path, aside = job.out / DATABASE, job.out / VALIDATION
    count = job.preset.curate.eval_questions
    if not count:
        database.write_curated(path, outcomes, files)
        return {DATABASE: database.content_digest(path)}
    # Which are set aside is known when all have been seen.
    lots = Lots(count)
    staged = job.out / "staged.duckdb"
    database.write_curated(staged, lots.seen(outcomes), files)
    drawn = lots.drawn()
    rows = database.iterate(staged)
    database.write_curated(path, (row for row in rows if isinstance(row, Rejected) or row.id not in drawn), files)
    rows = database.iterate(staged)
    database.write_curated(aside, (row for row in rows if isinstance(row, Question) and row.id in drawn), files)
    staged.unlink()
    return {file.name: database.content_digest(file) for file in (path, aside)}


class Tally:
    """Counts outcomes as they pass, and says every few seconds how far it is; `clock` gives seconds that only grow."""

    def __init__(self, log: Callable[[str], None], sources: Sequence[Source], clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._sources, self._clock = log, sources, clock
        self._first: Rejected | None = None
        self.num_read = self.num_questions = 0

    def counted(self, outcomes: Iterable[Question | Rejected]) -> Iterator[Question | Rejected]:
        """The same outcomes. Raises ValueError at their end when no question was among them."""
        told = self._clock()
        rate = RecentRate(told)
        for outcome in outcomes:
            self.num_read += 1
            if isinstance(outcome, Question):
                self.num_questions += 1
            elif self._first is None:
                self._first = outcome
            if (now := self._clock()) - told >= _TELL_EVERY_S:
                told = now
                self._log(f"{self.num_read:,} records read · {rate.at(now, self.num_read):,.0f} a second")
            yield outcome
        if not self.num_questions:
            raise ValueError(f"none of {self.num_read} records became a question; {_told(self._first, self._sources)}")


def _source(source: Source, inputs: Inputs) -> dict[str, Any]:
    file = inputs.folder(source.path) if source.path.is_dir() else inputs.file(source.path)
    found = {"name": source.name, "licence": source.licence, "file": file, "images": inputs.folder(source.images)}
    # What came later counts only where it is not at its default (`Dials.identity`).
    later = {"format": source.format, "weight": source.weight}
    return {**found, **{name: value for name, value in later.items() if value != Source.model_fields[name].default}}


def prompts_of(preset: Preset) -> dict[str, str]:
    """Digest of the prompt template that every stage with a policy uses."""
    from r1vl_core.prompts import prompt_digest

    return {preset.prompt: prompt_digest(preset.prompt)}


def looks(preset: Preset) -> Iterator[Callable[[], object]]:
    """At the checkpoint, at each source up to its first question, and at the files that must stay unseen."""
    yield partial(check_model, preset)
    for source in preset.sources:
        yield partial(_find_a_question, source, preset)
    if preset.curate.contamination:
        yield partial(check_heldout, preset)
        for file in preset.curate.contamination_data:
            yield partial(check_rows, file, read_unseen, preset.curate.max_image_pixels)


def _find_a_question(source: Source, preset: Preset) -> None:
    """Read on to the first record that becomes a question, of whatever length (where all is well, that is one), and look at the end.

    Raises ValueError naming the first reject when none does, as building would when it had read them all, and for a file cut off.
    """
    checks = curate.Checks(preset.curate, {source.name: source.images}, lambda *_: 0, lambda _: 0)
    first: Rejected | None = None
    num_read = 0
    for record in read_records(source):
        num_read += 1
        (outcome,) = curate.judge([record], checks)
        if not isinstance(outcome, Rejected):
            check_end(source)
            return
        first = first or outcome
    raise ValueError(f"source {source.name}: none of {num_read} records becomes a question; {_told(first, [source])}")


def _told(first: Rejected | None, sources: Sequence[Source]) -> str:
    """What became of the first record that was rejected, and what to do about it."""
    if first is None:
        return f"{', '.join(str(source.path) for source in sources)}: no records in it"
    source = next(source for source in sources if source.name == first.source)
    cure = _CURES.get(first.reason, "").format(images=source.images)
    return f"the first, row {first.row} of {first.source} ({source.path}), is rejected as {first.reason}: {first.detail}{cure}"


STAGE = Stage("curate", ("world",), recipe, build, looks=looks)
