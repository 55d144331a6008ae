"""Stage 3: supervised fine-tuning on the reference paths, in a child process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from r1vl_core.config import Preset
from r1vl_core.data.sampling import draw
from r1vl_core.records import Question
from tasks import curate
from tasks.checkpoints import check_lora, digest_checkpoint, find_checkpoint
from tasks.inputs import Inputs
from tasks.launch import run_child, write_report
from tasks.recipe import Recipe
from tasks.reports import collect_reports, meaning_of_reports
from tasks.stages import Build, Stage
from tasks.world import image_roots, weights_of

if TYPE_CHECKING:
    from tasks.trainer import Work

REVISION = 2
POLICY = "policy"
"""Folder of the trained checkpoint within a training stage's artifact."""


def recipe(preset: Preset, inputs: Inputs) -> Recipe:
    """The curated questions, the start checkpoint and the settings that decide the weights."""
    settings: dict[str, Any] = {
        **preset.warmup.identity("save_every"),
        "model": digest_checkpoint(preset, inputs),
        "seed": preset.seed,
        "max_pixels": preset.max_pixels,
    }
    if preset.warmup.max_questions:
        settings["drawn"] = {"by": "source", "weights": weights_of(preset)}
    needed = {name: digest for name, digest in inputs.items() if name != "world"}  # its pictures' digests stand in the questions
    return Recipe("warmup", REVISION, settings, needed, curate.prompts_of(preset))


def build(job: Build) -> Mapping[str, Any]:
    """Train in a child, then keep the checkpoint and the reports."""
    order = {
        "stage": "warmup",
        "policy": str(find_checkpoint(job.preset)),
        "questions": str(job.inputs["curate"].path / curate.DATABASE),
        **order_of(job),
    }
    run_child(job, order)
    last = collect_reports(job)
    return {"content": meaning_of_reports(job.out), "metrics": last, "checkpoint": POLICY}


def order_of(job: Build) -> dict[str, Any]:
    """What every order to the child holds."""
    return {
        "preset": job.preset.model_dump(mode="json"),
        "runtime": job.runtime.model_dump(mode="json"),
        "image_roots": {name: str(folder.absolute()) for name, folder in image_roots(job.preset, job.inputs).items()},
        "out": str(job.out),
        "work": str(job.work),
    }


def examples_of(questions: Sequence[Question], preset: Preset) -> list[Question]:
    """The questions to train on: those drawn, but for the ones without a path. With one seed, what key_steps draws is part of it, unless
    it draws more."""
    drawn = draw(questions, preset.warmup.max_questions, weights_of(preset), preset.seed)
    return [question for question in drawn if question.reference_path]


def compute(work: Work) -> None:
    """In the child: train and save."""
    from r1vl_core.training import warmup

    preset, policy = work.preset, work.trainee(work.order["policy"])
    questions = examples_of(work.questions(), preset)

    def get_example(number: int) -> warmup.Example:
        question = questions[number]
        return warmup.Example(work.encode(policy, question), policy.encode_path(question.reference_path))

    for report in warmup.train(
        policy,
        get_example,
        num_examples=len(questions),
        settings=preset.warmup,
        seed=preset.seed,
        work_dir=work.work_dir,
        token_budget=work.token_budget,
        accelerator=work.accelerator,
        should_stop=work.should_stop,
    ):
        write_report(report)
    work.export(policy, POLICY)


def looks(preset: Preset) -> Iterator[Callable[[], object]]:
    """At the layers that adapters go on."""
    if preset.warmup.lora:
        yield partial(check_lora, preset, "warmup", preset.warmup.lora)


STAGE = Stage("warmup", ("world", "curate"), recipe, build, looks=looks)
