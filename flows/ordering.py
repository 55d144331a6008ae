"""A pipeline run inside Prefect: a task a stage, in order; MLflow's runs beside it; its result in a file.

Stages are called directly, never submitted (a signal cannot interrupt a waiting thread), never retried (a cancelled training would
be started again), and never cached by Prefect (the store does that, by content).
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from prefect import task
from prefect.artifacts import create_link_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.exceptions import TerminationSignal
from prefect.runtime import deployment, flow_run
from prefect.states import Cancelled, Completed, Failed
from prefect.utilities.urls import url_for

from flows.choosing import choose
from flows.engines import engine_of
from flows.leases import leased
from flows.newer import failure_noted
from flows.placing import run_elsewhere
from flows.results import WRONG_INPUT, RunResult, StageOutcome, save_result, scores_of
from flows.runtime import ready_root, runtime_from
from flows.showing import Show
from flows.telling import INTERRUPTED, TERMINATED, tell_interruption, tell_once
from r1vl_core.config import STAGES as ALL_STAGES
from r1vl_core.config import Preset, Runtime, StageName
from tasks.launch import StageFailed, StageStopped
from tasks.planning import check_inputs
from tasks.stages import Stage, StageResult, flat, in_order, inputs_of, run_stage
from tasks.store import Store
from tasks.tracked_run import TrackedRun
from tasks.tracking import Tracker

KNOWN_PROBLEMS = (ValueError, OSError, StageFailed, StageStopped)
"""Exceptions whose message says all a person needs; their traceback goes to the log file only."""

INTERRUPTIONS = (KeyboardInterrupt, TerminationSignal)
"""What Ctrl-C and SIGTERM raise within a flow run."""


@dataclass(frozen=True)
class Order:
    """What was asked for: the flow's parameters.

    >>> Order("tiny", {}, force=True, seed=None, until="warmup", place={}).forced(("curate", "warmup"))
    frozenset({'warmup'})
    """

    preset: str
    overrides: Mapping[str, Any]
    force: bool
    seed: int | None
    until: StageName | None
    place: Mapping[str, str]

    def forced(self, names: tuple[str, ...]) -> frozenset[str]:
        """The stages to rebuild: the one named by `until`, or all of `names`."""
        return frozenset() if not self.force else frozenset(names if self.until is None else (self.until,))


@dataclass(frozen=True)
class Walk:
    """A pipeline run under way: what all its stages share."""

    stages: Mapping[str, Stage]
    order: Order
    preset: Preset
    runtime: Runtime
    store: Store
    tracker: Tracker
    parent: TrackedRun
    run_id: str


def run_pipeline(stages: Mapping[str, Stage], order: Order) -> State[Any]:
    """Bring the ordered stages up to date; the flow's final state. Problems that people can cure end as a Failed state with one line.

    An interrupted run is Cancelled. Where a worker runs it, the interruption goes on its way, and the worker says how the run ended.
    """
    run_id = str(flow_run.id)
    try:
        runtime = runtime_from()
        ready_root(runtime.root)
        preset = choose(order.preset, order.overrides, order.seed)
        check_inputs(order.until or ALL_STAGES[-1], stages, preset)
        tracker = Tracker(runtime.root, os.environ.get("MLFLOW_TRACKING_URI"))
        with (
            leased(runtime.root, run_id),
            failure_noted(runtime.root, f"{flow_run.name} ({run_id})"),
            tracker.start(flow_run.name, tags=prefect_tags(run_id)) as parent,
        ):
            parent.log_params(flat(preset.model_dump(mode="json")))
            walk = Walk(stages, order, preset, runtime, Store(runtime.root), tracker, parent, run_id)
            result = _conclude(walk, _walk(walk))
    except KNOWN_PROBLEMS as problem:
        tell_once(problem)
        return _failed(problem)
    except INTERRUPTIONS as interruption:
        if deployment.id is not None:
            raise
        return _interrupted(interruption)
    built = [name for name, stage in result.stages.items() if stage.state == "built"]
    return Completed(message=f"built {', '.join(built)}" if built else "everything was up to date")


def prefect_tags(run_id: str) -> dict[str, str]:
    """Tags that lead from an MLflow run to the Prefect run it belongs to."""
    url = url_for("flow-run", obj_id=run_id)
    return {"prefect.flow_run_id": run_id, **({"prefect.flow_run_url": url} if url else {})}


def _walk(walk: Walk) -> dict[str, StageResult]:
    ordered = in_order(walk.stages, walk.order.until or ALL_STAGES[-1], walk.preset)
    forced = walk.order.forced(tuple(stage.name for stage in ordered))
    states: dict[str, State[StageResult]] = {}
    results: dict[str, StageResult] = {}
    for stage in ordered:
        names = inputs_of(stage, walk.stages, walk.preset)
        upstream = {name: results[name] for name in names}
        states[stage.name] = _as_task(stage.name, _work(walk, stage, upstream, stage.name in forced), [states[name] for name in names])
        results[stage.name] = states[stage.name].result()
    return results


def _as_task(name: str, work: Callable[[], State[StageResult]], after: list[State[StageResult]]) -> State[StageResult]:
    """Run `work` as a Prefect task of this name, in this thread; `after` only draws the arrows of the graph.

    An interruption ends the task as Cancelled and goes on its way; Prefect would call the task crashed.
    """
    interruptions: list[BaseException] = []

    @task(name=name, task_run_name=name, cache_policy=NO_CACHE, retries=0, persist_result=False)
    def stage() -> State[StageResult]:
        try:
            return work()
        except INTERRUPTIONS as interruption:
            interruptions.append(interruption)
            return _interrupted(interruption)

    state = cast(State[StageResult], stage(wait_for=after, return_state=True))
    for interruption in interruptions:
        raise interruption
    return state


def _work(walk: Walk, stage: Stage, upstream: Mapping[str, StageResult], force: bool) -> Callable[[], State[StageResult]]:
    artifacts = {name: result.artifact for name, result in upstream.items()}

    def work() -> State[StageResult]:
        with Show(stage.name, walk.runtime.root, walk.run_id) as show:
            try:
                deployment = walk.order.place.get(stage.name)
                if deployment:
                    result = run_elsewhere(walk, stage, artifacts, deployment, force)
                else:
                    result = run_stage(
                        stage,
                        walk.preset,
                        walk.runtime,
                        walk.store,
                        artifacts,
                        force=force,
                        tracker=walk.tracker,
                        parent=walk.parent,
                        tags=prefect_tags(walk.run_id),
                        on_event=show,
                        engine=engine_of(walk.runtime),
                    )
            except KNOWN_PROBLEMS as problem:
                show.keep(traceback.format_exc())
                traceback.clear_frames(problem.__traceback__)  # a database kept open by a frame would be told as leaked at the end
                tell_once(problem)
                return _failed(problem)
            return _done(walk, result)

    return work


def _done(walk: Walk, result: StageResult) -> State[StageResult]:
    url = walk.tracker.run_url(result.mlflow_run_id)
    if url:
        text = f"{result.stage}: the MLflow run that made it"
        create_link_artifact(
            url, link_text=text, key=f"mlflow-{result.stage.replace('_', '-')}", description=f"{result.state}, digest {result.digest}"
        )
    if result.state == "cached":
        made = f"reused {result.digest[:12]}, made {str(result.artifact.made['created'])[:19]}" + (f" by {url}" if url else "")
        return Completed(name="Cached", message=made, data=result)
    return Completed(message=f"built {result.digest[:12]} in {result.seconds:.1f} s", data=result)


def _failed(problem: Exception) -> State[Any]:
    """The state for a problem people can cure. Carries the problem, so that asking for the result raises it."""
    return Failed(name=WRONG_INPUT if isinstance(problem, ValueError) else "Failed", message=str(problem), data=problem)


def _interrupted(interruption: BaseException) -> State[Any]:
    message = TERMINATED if isinstance(interruption, TerminationSignal) else INTERRUPTED
    tell_interruption(message)
    return Cancelled(message=message)


def _conclude(walk: Walk, results: Mapping[str, StageResult]) -> RunResult:
    """Write the run's result, and link its report page."""
    page = next(iter(sorted(results["report"].artifact.path.glob("*.html"))), None) if "report" in results else None
    result = RunResult(
        run_id=walk.run_id,
        preset=walk.preset.name,
        seed=walk.preset.seed,
        state="COMPLETED",
        stages={name: _outcome(walk, stage) for name, stage in results.items()},
        scores=scores_of(results["evaluate"].artifact) if "evaluate" in results else {},
        report=str(page) if page else None,
        mlflow_url=walk.tracker.run_url(walk.parent.reference),
    )
    save_result(walk.runtime.root, result, is_last=walk.order.until in (None, ALL_STAGES[-1]))
    run_url = walk.tracker.run_url(results["report"].mlflow_run_id) if page else None
    if page and run_url:
        create_link_artifact(f"{run_url}/artifacts/{page.name}", link_text="the report page", key="report", description=f"on disk: {page}")
    return result


def _outcome(walk: Walk, stage: StageResult) -> StageOutcome:
    return StageOutcome(stage.state, stage.seconds, stage.key, stage.digest, walk.tracker.run_url(stage.mlflow_run_id))
