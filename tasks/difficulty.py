"""Between warm-up and StepGRPO, where a preset asks for it: how often the warm-up policy is right on each question, in a child process.

The artifact holds the pass rates of all questions; which of them StepGRPO learns from is its own affair, so that other bounds cost
no sampling.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import astuple, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from r1vl_core.config import Difficulty, Preset
from r1vl_core.report import Report
from tasks import curate, key_steps, warmup
from tasks.inputs import Inputs
from tasks.launch import run_child, write_report
from tasks.recipe import Recipe
from tasks.stages import Build, Stage

if TYPE_CHECKING:
    from tasks.trainer import Work

REVISION = 4
PASS_RATES = "pass_rates.parquet"


def recipe(preset: Preset, inputs: Inputs) -> Recipe:
    """Questions, the warm-up policy, and how it is sampled: as StepGRPO will sample it."""
    assert preset.difficulty is not None, "the stage is left out of presets without it"
    settings = {
        **preset.difficulty.identity("above", "below"),
        "temperature": preset.stepgrpo.temperature,
        "max_new_tokens": preset.stepgrpo.max_new_tokens,
        "max_pixels": preset.max_pixels,
        "seed": preset.seed,
    }
    needed = {name: digest for name, digest in inputs.items() if name != "world"}  # its pictures' digests stand in the questions
    return Recipe("difficulty", REVISION, settings, needed, curate.prompts_of(preset))


def build(job: Build) -> Mapping[str, Any]:
    """Sample and judge in a child; windows that a killed build had finished are kept."""
    from r1vl_core.training.difficulty import read_pass_rates

    order = {
        "stage": "difficulty",
        "policy": str(job.inputs["warmup"].path / warmup.POLICY),
        "questions": str(job.inputs["key_steps"].path / key_steps.DATABASE),
        **warmup.order_of(job),
    }
    # One process samples: ranks that only wait would run into their collective's time limit.
    run_child(replace(job, runtime=job.runtime.model_copy(update={"num_processes": 1, "accelerate_config": None})), order)
    rates = read_pass_rates(job.out / PASS_RATES)
    num_never, num_always = sum(rate.share == 0 for rate in rates), sum(rate.share == 1 for rate in rates)
    mean = fmean(rate.share for rate in rates)
    job.log(f"{len(rates)} questions: right in {mean:.1%} of the paths, {num_never} never and {num_always} always")
    content = hashlib.sha256(json.dumps([astuple(rate) for rate in rates]).encode()).hexdigest()
    return {
        "content": {PASS_RATES: content},
        "metrics": {"num_questions": len(rates), "pass_rate": mean, "num_never_right": num_never, "num_always_right": num_always},
    }


def compute(work: Work) -> None:
    """In the child: sample, judge, keep."""
    from r1vl_core.policy.room import make_room
    from r1vl_core.reasoning.rewards import prepare, reward
    from r1vl_core.training.difficulty import WINDOW, measure, write_pass_rates

    settings, dials = work.preset.stepgrpo, work.preset.difficulty
    assert dials is not None, "the stage is left out of presets without it"
    policy, questions = work.policy(work.order["policy"]), work.questions()
    prepared = [prepare(question) for question in questions]
    windows = []
    for window in measure(
        policy,
        lambda number: work.encode(policy, questions[number]),
        lambda number, response: reward(response, prepared[number]).verdict == "correct",
        num_questions=len(questions),
        num_samples=dials.num_samples,
        temperature=settings.temperature,
        max_new_tokens=settings.max_new_tokens,
        seed=work.preset.seed,
        room=make_room(work.token_budget, longest="stepgrpo.max_new_tokens"),
        folder=work.work_dir / "pass_rates",
    ):
        windows.append(window)
        metrics = {"pass_rate": fmean(rate.share for rate in window), "questions": float(len(window))}
        write_report(Report(len(windows), -(-len(questions) // WINDOW), metrics))
        if work.should_stop():
            return
    write_pass_rates(work.out / PASS_RATES, list(itertools.chain.from_iterable(windows)))


def chosen(folder: Path, dials: Difficulty) -> frozenset[str]:
    """Ids of the questions within the bounds, by the artifact in `folder`. Raises ValueError when there is none."""
    from r1vl_core.training.difficulty import read_pass_rates

    rates = read_pass_rates(folder / PASS_RATES)
    kept = frozenset(rate.question_id for rate in rates if dials.above < rate.share < dials.below)
    if not kept:
        raise ValueError(
            f"none of {len(rates)} questions has a pass rate between {dials.above:g} and {dials.below:g} over {dials.num_samples} paths; "
            "raise difficulty.num_samples, or train the warm-up policy longer"
        )
    return kept


STAGE = Stage("difficulty", ("world", "key_steps", "warmup"), recipe, build, wanted=lambda preset: preset.difficulty is not None)
