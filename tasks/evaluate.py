"""Stage 5: both policies answer the held-out questions, greedily and in batches, in a child process."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1vl_core.config import Preset
from r1vl_core.data.curate import open_held_out
from r1vl_core.data.extract import extract_key_steps
from r1vl_core.evaluation.benchmarks import handwriting
from r1vl_core.evaluation.benchmarks.tsv import read_cells, read_tsv
from r1vl_core.reasoning import rewards
from r1vl_core.reasoning.paths import parse
from r1vl_core.records import BenchmarkRow, Question, ScoredResponse
from r1vl_core.report import Report
from tasks import curate, warmup
from tasks.inputs import Inputs
from tasks.launch import run_child, write_report
from tasks.recipe import Recipe
from tasks.stages import Build, Stage
from tasks.world import check_heldout, heldout_file

if TYPE_CHECKING:
    from tasks.trainer import Work

REVISION = 7
POLICIES = ("warmup", "stepgrpo")
SUMMARY = "summary.json"


def responses_file(policy: str) -> str:
    """Name of the file with a policy's scored responses."""
    return f"{policy}.parquet"


def recipe(preset: Preset, inputs: Inputs) -> Recipe:
    """Both policies, the held-out file and how responses are decoded."""
    settings: dict[str, Any] = {
        **preset.evaluate.model_dump(mode="json", exclude={"data"}),
        "max_pixels": preset.max_pixels,
        "alpha": preset.stepgrpo.alpha,
        "hardening": preset.rewards.hardening,
        "max_key_steps": preset.key_steps.max_key_steps,
    }
    if preset.evaluate.data is not None:
        settings["heldout"] = inputs.file(preset.evaluate.data)
    return Recipe("evaluate", REVISION, settings, inputs, curate.prompts_of(preset))


def build(job: Build) -> Mapping[str, Any]:
    """Decode and score in a child; the summary becomes the stage's metrics."""
    order = {
        "stage": "evaluate",
        "policies": {name: str(job.inputs[name].path / warmup.POLICY) for name in POLICIES},
        "heldout": str(heldout_file(job.preset, job.inputs).absolute()),
        **warmup.order_of(job),
    }
    # One process answers: ranks that only wait would run into their collective's time limit.
    run_child(replace(job, runtime=job.runtime.model_copy(update={"num_processes": 1, "accelerate_config": None})), order)
    table = json.loads((job.out / SUMMARY).read_text(encoding="utf-8"))
    metrics = {f"{name}_accuracy": table[name]["accuracy"] for name in POLICIES}
    job.log(", ".join(f"{name} {table[name]['accuracy']:.1%} of {table[name]['num_questions']}" for name in POLICIES))
    return {"metrics": metrics, "files": [SUMMARY]}


def compute(work: Work) -> None:
    """In the child: answer, score, store. One process does it all."""
    from r1vl_core.evaluation import evaluate

    if not work.is_first:
        return
    settings = work.preset.evaluate
    every = list(read_tsv(Path(work.order["heldout"])))
    rows = list(itertools.islice(every, settings.limit or None))
    scored: dict[str, list[ScoredResponse]] = {}
    for name, folder in work.order["policies"].items():
        policy, started = work.policy(folder), time.monotonic()
        answered: list[ScoredResponse] = []
        for batch in evaluate.evaluate(
            policy,
            rows,
            prompt_text=handwriting.prompt_text,
            judge=handwriting.judge,
            max_new_tokens=settings.max_new_tokens,
            decode=lambda row: open_held_out(row, work.preset.curate.max_image_pixels),
        ):
            answered += batch
            seconds = time.monotonic() - started
            done = len(scored) * len(rows) + len(answered)
            metrics = {f"{name}_questions": float(len(answered)), "questions_per_second": len(answered) / seconds}
            write_report(Report(done, len(rows) * len(work.order["policies"]), metrics))
            if work.should_stop():
                return
        scored[name] = answered
    for name, responses in scored.items():
        evaluate.write_responses(work.out / responses_file(name), responses)
    prepared = prepare_rows(work.preset, Path(work.order["heldout"]), rows)
    table: dict[str, Any] = {}
    for name, responses in scored.items():
        table[name] = evaluate.summary(responses, *_means_of(responses, prepared, work.preset.stepgrpo.alpha))
    table["comparison"] = asdict(evaluate.compare(scored["warmup"], scored["stepgrpo"]))
    table["partial"] = {"answered": len(rows), "all": len(every)} if len(rows) < len(every) else None
    (work.out / SUMMARY).write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def prepare_rows(preset: Preset, heldout: Path, rows: Sequence[BenchmarkRow]) -> dict[str, rewards.PreparedQuestion]:
    """Held-out rows ready to be rewarded; without a reference path (column `solution`, ours alone) a row has no key steps."""
    solutions = {cells["index"]: cells.get("solution", "") for cells in read_cells(heldout)}
    found = {}
    for row in rows:
        solution = solutions.get(row.index, "")
        key_steps = extract_key_steps(parse(solution), preset.key_steps.max_key_steps)
        question = Question(row.index, "heldout", "", "", row.question, row.choices, row.answer, solution, key_steps)
        found[row.index] = rewards.prepare(question, preset.rewards.hardening)
    return found


def _means_of(
    responses: Sequence[ScoredResponse], prepared: Mapping[str, rewards.PreparedQuestion], alpha: float
) -> tuple[dict[str, float] | None, dict[str, float]]:
    """StepRAR and StepRVR of each response. No StepRAR unless every row has key steps: a mean over some rows would stand beside one
    over all."""
    earned = {one.index: rewards.reward(one.response, prepared[one.index], alpha) for one in responses}
    step_rvr = {index: reward.step_rvr for index, reward in earned.items()}
    if not all(prepared[index].key_steps.groups for index in earned):
        return None, step_rvr
    return {index: reward.step_rar for index, reward in earned.items()}, step_rvr


def looks(preset: Preset) -> Iterator[Callable[[], object]]:
    """At the held-out file, where curation has not looked at it."""
    if not preset.curate.contamination:
        yield partial(check_heldout, preset)


STAGE = Stage("evaluate", ("world", "warmup", "stepgrpo"), recipe, build, looks=looks)
