"""Stage 4: StepGRPO from the warm-up policy, in a child process."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from r1vl_core.config import Preset
from r1vl_core.data import database
from r1vl_core.reasoning.rewards import Reward, prepare, reward
from r1vl_core.records import Question
from r1vl_core.report import Report, warn_of_stalls
from r1vl_core.training.stopping import OUTCOME
from tasks import curate, difficulty, key_steps, warmup
from tasks.checkpoints import check_lora
from tasks.inputs import Inputs
from tasks.launch import run_child, write_report
from tasks.recipe import Recipe
from tasks.reports import collect_reports, collect_rollouts, meaning_of_reports, read_reports
from tasks.stages import Build, Stage

if TYPE_CHECKING:
    from r1vl_core.policy.model import Policy
    from r1vl_core.training.validation import Validation
    from tasks.trainer import Work

_log = logging.getLogger(__name__)

REVISION = 7
POLICY = warmup.POLICY


def recipe(preset: Preset, inputs: Inputs) -> Recipe:
    """Questions with key steps, the warm-up policy and the settings that decide the weights."""
    settings = {
        **preset.stepgrpo.identity("save_every", "keep_checkpoints", "reward_limit_s"),
        "seed": preset.seed,
        "max_pixels": preset.max_pixels,
        "hardening": preset.rewards.hardening,
    }
    if preset.difficulty:
        settings["pass_rates"] = preset.difficulty.identity("num_samples")
    needed = {name: digest for name, digest in inputs.items() if name != "world"}  # its pictures' digests stand in the questions
    return Recipe("stepgrpo", REVISION, settings, needed, curate.prompts_of(preset))


def build(job: Build) -> Mapping[str, Any]:
    """Train in a child, then keep the checkpoint, the reports, the rollouts and, if it is not the last step's policy, which it is."""
    order = {
        "stage": "stepgrpo",
        "policy": str(job.inputs["warmup"].path / POLICY),
        "questions": str(job.inputs["key_steps"].path / key_steps.DATABASE),
        **warmup.order_of(job),
    }
    if job.preset.difficulty:
        kept = difficulty.chosen(job.inputs["difficulty"].path, job.preset.difficulty)
        order["pass_rates"] = str(job.inputs["difficulty"].path)
        job.log(f"{len(kept)} questions of middling difficulty to learn from")
    if job.preset.stepgrpo.eval_every:
        order["validation"] = str(job.inputs["key_steps"].path / curate.VALIDATION)
    run_child(job, order)
    collect_reports(job)
    content = {**meaning_of_reports(job.out), **collect_rollouts(job)}
    notes = {"content": content, "metrics": final_rewards(read_reports(job.out)), "checkpoint": POLICY}
    return {**notes, **collect_outcome(job)}


def collect_outcome(job: Build) -> dict[str, Any]:
    """Copy what the run says of the policy it hands on, if not the last; notes for the record, `stopped_early` among them."""
    if not (job.work / OUTCOME).exists():
        return {}
    shutil.copyfile(job.work / OUTCOME, job.out / OUTCOME)
    return {"files": [OUTCOME], **json.loads((job.out / OUTCOME).read_text(encoding="utf-8"))}


def final_rewards(reports: tuple[Report, ...]) -> dict[str, float]:
    """Mean rewards over the paths sampled in the last tenth of the steps (one step at least)."""
    last = reports[-max(1, len(reports) // 10) :]
    return {f"mean_{name}": fmean(report.metrics[name] for report in last) for name in ("step_rar", "step_rvr", "k", "reward")}


def judge_of(preset: Preset, questions: Sequence[Question]) -> Callable[[int, str], Reward]:
    """What a response to the question of that number earns by the preset's rewards."""
    prepared = [prepare(question, preset.rewards.hardening) for question in questions]
    return lambda number, response: reward(response, prepared[number], preset.stepgrpo.alpha)


def compute(work: Work) -> None:
    """In the child: train and save."""
    from r1vl_core.training import stepgrpo

    preset, settings = work.preset, work.preset.stepgrpo
    policy: Policy = work.trainee(work.order["policy"])
    reference = work.policy(work.order["policy"]) if settings.beta > 0 and not settings.lora else None
    questions = work.questions()
    if preset.difficulty:
        kept = difficulty.chosen(Path(work.order["pass_rates"]), preset.difficulty)
        questions = [question for question in questions if question.id in kept]
    reports = stepgrpo.train(
        policy,
        reference,
        lambda number: work.encode(policy, questions[number]),
        judge_of(preset, questions),
        num_questions=len(questions),
        settings=settings,
        seed=preset.seed,
        work_dir=work.work_dir,
        token_budget=work.token_budget,
        accelerator=work.accelerator,
        should_stop=work.should_stop,
        validation=validation_of(work, policy),
    )
    for report in warn_of_stalls(reports, _log.warning if work.is_first else lambda _: None):
        write_report(report)
    work.export(policy, POLICY)


def validation_of(work: Work, policy: Policy) -> Validation | None:
    """The questions set aside, if the run evaluates on them; what is right is what the rewards say."""
    from r1vl_core.training.validation import Validation

    if "validation" not in work.order:
        return None
    questions = database.read_questions(Path(work.order["validation"]))
    return Validation(lambda number: work.encode(policy, questions[number]), judge_of(work.preset, questions), len(questions))


def looks(preset: Preset) -> Iterator[Callable[[], object]]:
    """At the layers that adapters go on."""
    if preset.stepgrpo.lora:
        yield partial(check_lora, preset, "stepgrpo", preset.stepgrpo.lora)


STAGE = Stage("stepgrpo", ("world", "key_steps", "warmup", "difficulty"), recipe, build, looks=looks)
