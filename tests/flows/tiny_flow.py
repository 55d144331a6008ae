"""The pipeline's own flow over stages that cost nothing: real files, a real child process, the real store."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas import State

from flows.naming import flow_run_name
from flows.ordering import Order, run_pipeline
from r1vl_core.config import Preset, StageName
from tasks.inputs import Inputs
from tasks.launch import WARNING, StageStopped, read_report
from tasks.recipe import Recipe
from tasks.stages import Build, Stage
from tasks.supervise import ASKED, run_supervised

CHILD = Path(__file__).with_name("counting_child.py")


def _dials(name: str) -> Any:
    def recipe(preset: Preset, inputs: Inputs) -> Recipe:
        return Recipe(name, 1, {**getattr(preset, name).model_dump(mode="json"), "seed": preset.seed}, inputs)

    return recipe


def _write(name: str) -> Any:
    def build(job: Build) -> Mapping[str, Any]:
        read = {stage: artifact.digest for stage, artifact in job.inputs.items()}
        (job.out / f"{name}.json").write_text(json.dumps({"read": read, "key": job.recipe.key}))
        job.log(f"{name} wrote a file")
        return {}

    return build


def _train(job: Build) -> Mapping[str, Any]:
    """Count in a child process: as many steps as warm-up has epochs, a tenth of a second each, resuming from its last count."""
    if job.preset.warmup.learning_rate > 1:
        raise ValueError(f"learning rate {job.preset.warmup.learning_rate}: too large; use one below 1")
    job.log(f"{WARNING}counting teaches nothing")
    count = job.work / "count"

    def on_line(line: str) -> None:
        report = read_report(line)
        if report:
            job.on_report(report)
        else:
            job.log(line)

    status = run_supervised([sys.executable, str(CHILD), str(count), str(round(job.preset.warmup.num_epochs))], on_line=on_line, grace_s=5)
    if status == ASKED:
        raise StageStopped("stopped when asked to")
    (job.out / "count").write_text(count.read_text())
    return {"metrics": {"count": int(count.read_text())}}


def _evaluate(job: Build) -> Mapping[str, Any]:
    score = {"accuracy": 0.5, "num_questions": 600, "interval": [0.46, 0.54]}
    better = {**score, "accuracy": 0.7, "interval": [0.66, 0.735], "mean_step_rar": 0.8, "mean_step_rvr": 0.95}
    better["stepgrpo"] = job.inputs["stepgrpo"].digest
    (job.out / "summary.json").write_text(json.dumps({"warmup": score, "stepgrpo": better, "partial": None}))
    return {}


def _report(job: Build) -> Mapping[str, Any]:
    (job.out / "report.html").write_text(f"<p>{job.inputs['evaluate'].digest}</p>")
    return {"files": ["report.html"]}


STAGES = {
    stage.name: stage
    for stage in (
        Stage("curate", (), _dials("curate"), _write("curate")),
        Stage("key_steps", ("curate",), _dials("key_steps"), _write("key_steps")),
        Stage("warmup", ("key_steps",), _dials("warmup"), _train),
        Stage("stepgrpo", ("key_steps", "warmup"), _dials("stepgrpo"), _write("stepgrpo")),
        Stage("evaluate", ("warmup", "stepgrpo"), _dials("evaluate"), _evaluate),
        Stage("report", ("evaluate",), _dials("report"), _report),
    )
}


@flow(name="r1vl", flow_run_name=flow_run_name, persist_result=False)
def r1vl(
    preset: str = "r1vl-2b",
    overrides: dict[str, Any] | None = None,
    force: bool = False,
    seed: int | None = None,
    until: StageName | None = None,
    place: dict[StageName, str] | None = None,
) -> State[Any]:
    """The pipeline over stages that cost nothing."""
    return run_pipeline(STAGES, Order(preset, overrides or {}, force, seed, until, place or {}))
