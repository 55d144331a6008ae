"""A policy's answers to benchmark questions, ruled under every profile: the artifact behind `r1vl eval`.

What is asked is settled first (`look_at`), then answered: by a checkpoint in child processes, each with a part of the rows, or by a
served model. The profile is no part of the recipe, since all are computed: it only decides what is shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from r1vl_core.config import Preset, ServedModel
from r1vl_core.data.row_filter import CannotAsk, matching
from r1vl_core.evaluation.benchmarks.registry import prompt_text
from r1vl_core.evaluation.benchmarks.scoring import BenchmarkFile, read_benchmark
from r1vl_core.evaluation.decoding import Decoding
from r1vl_core.prompts import prompt_digest
from tasks.answer_files import read_answers
from tasks.benchmark_answers import TOKENS_AT_ONCE, AskedText, check_pictures, write_questions
from tasks.benchmark_results import keep
from tasks.inputs import Inputs
from tasks.launch import WARNING, StageKilled, StageStopped, run_child
from tasks.recipe import Recipe, spell
from tasks.stages import Build, Stage

NAME = "benchmarks"
REVISION = 4

_KEPT = "every answer is kept: run again to go on"


@dataclass(frozen=True)
class Served:
    """A model behind an OpenAI-compatible endpoint, and the key it is asked with, which no text shows.

    >>> Served(ServedModel(base_url="http://127.0.0.1:8000/v1", model="m"), "secret")
    Served(base_url='http://127.0.0.1:8000/v1', model='m')
    """

    dials: ServedModel
    key: str

    def __repr__(self) -> str:
        return f"Served(base_url={self.dials.base_url!r}, model={self.dials.model!r})"

    @property
    def digest(self) -> str:
        """sha256 of address and name, and of what else is sent where something is: what is known of a model that only answers."""
        about: dict[str, Any] = {"base_url": self.dials.base_url, "model": self.dials.model}
        about |= {"request": self.dials.request} if self.dials.request else {}
        return hashlib.sha256(spell(about).encode("ascii")).hexdigest()


@dataclass(frozen=True)
class Evaluated:
    """Who is asked: a checkpoint's folder or a served model, by the `name` people know it under, and the prompt template.

    `digest` is that of the artifact a checkpoint lies in or of the user's folder, or what is known of a served model.
    """

    name: str
    prompt: str
    max_pixels: int
    digest: str
    checkpoint: Path | None = None
    served: Served | None = None


@dataclass(frozen=True)
class Request:
    """What is asked of whom: benchmark files in the order given, which of their rows, and how responses are decoded.

    `left_out` says of other benchmarks that were named why nothing is asked of them.
    """

    who: Evaluated
    files: tuple[BenchmarkFile, ...]
    chosen: Mapping[str, tuple[str, ...]]
    where: str | None
    limit: int | None
    decoding: Decoding
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_partial(self) -> bool:
        """Whether rows of a file are left out, or all of one's."""
        return bool(self.left_out) or any(len(self.chosen[file.name]) < len(file.rows) for file in self.files)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the responses beside policy, files and prompt; a seed means nothing to greedy decoding."""
        decoding = asdict(self.decoding)
        if self.decoding.temperature is None:
            del decoding["seed"]
        return {**decoding, "max_pixels": self.who.max_pixels}


def look_at(who: Evaluated, paths: Mapping[str, Path], where: str | None, limit: int | None, decoding: Decoding) -> Request:
    """Read the files of the benchmarks by name, and choose rows; a benchmark without any is left out where another has some.

    Raises ValueError for what cannot be asked or scored.
    """
    files = {name: read_benchmark(name, path) for name, path in paths.items()}
    chosen: dict[str, tuple[str, ...]] = {}
    refusals: dict[str, CannotAsk] = {}
    for name, file in files.items():
        try:
            chosen[name] = _choose(file, where)[:limit]
        except CannotAsk as refusal:
            refusals[name] = refusal
    if len(refusals) == len(files):
        raise next(iter(refusals.values()))
    asked = {name: files[name] for name, indices in chosen.items() if indices}
    if not asked:
        raise ValueError(f"--where {where!r}: {_none_chosen([files[name] for name in chosen], list(refusals))}; choose some rows")
    none = {name: f"--where chooses none of its {len(files[name].rows):,} rows" for name in chosen if name not in asked}
    left_out = {**none, **{name: f"--where cannot be asked of it: {refusal.reason}" for name, refusal in refusals.items()}}
    return Request(who, tuple(asked.values()), {name: chosen[name] for name in asked}, where, limit, decoding, left_out)


def _choose(file: BenchmarkFile, where: str | None) -> tuple[str, ...]:
    """Indices of the rows for which the expression is true. Raises CannotAsk."""
    rows = list(file.rows.values())
    places = range(len(rows)) if where is None else matching(rows, where, str(file.path))
    return tuple(rows[place]["index"] for place in places)


def _none_chosen(files: Sequence[BenchmarkFile], refusing: Sequence[str]) -> str:
    """What was looked through in vain, and of what the expression cannot even be asked."""
    told = " and ".join(f"no row of {file.path} ({len(file.rows):,} rows)" for file in files)
    return f"{told}; it cannot be asked of {', '.join(refusing)}" if refusing else told


def stage_of(request: Request) -> Stage:
    """The stage that answers the request and keeps what came of it."""

    def recipe(_preset: Preset, inputs: Inputs) -> Recipe:
        who = request.who
        files = {file.name: inputs.file(file.path) for file in request.files}
        settings = {**request.settings, "benchmarks": [*files], "where": request.where, "limit": request.limit}
        if request.where is not None:  # it may say random() or today(): what was chosen is what is asked
            settings["rows"] = hashlib.sha256(spell(request.chosen).encode("ascii")).hexdigest()
        return Recipe(NAME, REVISION, settings, {**files, "policy": who.digest}, {who.prompt: prompt_digest(who.prompt)})

    def build(job: Build) -> Mapping[str, Any]:
        questions = [
            AskedText(file.name, index, prompt_text(file.name, file.rows[index], request.who.prompt))
            for file in request.files
            for index in request.chosen[file.name]
        ]
        write_questions(job.work, questions)
        answered = read_answers(job.work)
        if answered:
            job.log(f"{WARNING}{len(answered):,} of {len(questions):,} rows were answered by an earlier run; their answers are kept")
        left = [question for question in questions if (question.benchmark, question.index) not in answered]
        check_pictures(left, _paths(request), job.preset.curate.max_image_pixels)
        _have_answered(job, request, questions)
        for mark in job.out.glob("answered-*"):
            mark.unlink()
        return keep(job, request, read_answers(job.work))

    return Stage(NAME, (), recipe, build)


def _have_answered(job: Build, request: Request, questions: list[AskedText]) -> None:
    paths = _paths(request)
    if request.who.served is not None:
        from tasks.served import answer_all

        answer_all(job, request.who.served, questions, paths, request.decoding)
        return
    assert request.who.checkpoint is not None, "who is not served has a checkpoint"
    order = {
        "stage": "benchmark_answers",
        "policy": str(request.who.checkpoint.absolute()),
        "files": paths,
        "decoding": asdict(request.decoding),
        "preset": job.preset.model_dump(mode="json"),
        "runtime": job.runtime.model_dump(mode="json"),
        "out": str(job.out),
        "work": str(job.work),
    }
    # Each process answers rows of its own with the whole policy: there is nothing to shard.
    try:
        run_child(replace(job, runtime=job.runtime.model_copy(update={"accelerate_config": None})), order)
    except StageKilled as killed:
        budgets = f"default: {TOKENS_AT_ONCE['cpu']:,} on a CPU, {TOKENS_AT_ONCE['cuda']:,} on a GPU"
        raise StageKilled(
            "a process that asks the policy was killed by signal 9, mostly by the kernel because the machine ran out of memory: free some, "
            f"or lower R1VL_TOKEN_BUDGET ({budgets}); {_KEPT}"
        ) from killed
    except StageStopped as stopped:
        raise StageStopped(f"stopped when asked to; {_KEPT}") from stopped


def _paths(request: Request) -> dict[str, str]:
    return {file.name: str(file.path.absolute()) for file in request.files}
