"""A stage on another work pool: its own deployment runs it, the store hands its artifact over."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling

from flows.results import WRONG_INPUT
from tasks.inputs import DIGESTS, DigestCache, Inputs
from tasks.stages import Build, Stage, StageResult, run_stage
from tasks.store import Artifact

if TYPE_CHECKING:
    from flows.ordering import Walk

_POLL_S = 1.0


def run_elsewhere(walk: Walk, stage: Stage, upstream: Mapping[str, Artifact], deployment: str, force: bool) -> StageResult:
    """Bring a stage up to date through a deployment; a stage that is up to date costs no run.

    Cancelling this run cancels the other. Raises ValueError when there is no such deployment, or when it failed by the user's mistake,
    OSError when it failed otherwise or left no artifact in our store.
    """
    started = time.monotonic()
    digests = {name: artifact.digest for name, artifact in upstream.items()}
    recipe = stage.recipe(walk.preset, Inputs(digests, DigestCache(walk.store.root / DIGESTS)))
    missing = force or walk.store.get(recipe) is None
    if missing:
        _run_to_the_end(walk, stage, deployment, force)

    def nothing_came(job: Build) -> None:
        raise OSError(f"{deployment} completed, but its artifact is not under {walk.runtime.root}; do both machines share R1VL_ROOT?")

    result = run_stage(replace(stage, build=nothing_came), walk.preset, walk.runtime, walk.store, upstream, parent=walk.parent)
    return replace(result, state="built", seconds=round(time.monotonic() - started, 3)) if missing else result


def _run_to_the_end(walk: Walk, stage: Stage, deployment: str, force: bool) -> None:
    order = walk.order
    parameters = {
        "preset": order.preset,
        "overrides": dict(order.overrides),
        "seed": order.seed,
        "force": force,
        "until": stage.name,
        "place": {},
    }
    try:
        run = run_deployment(deployment, parameters=parameters, timeout=0, as_subflow=True)
    except ObjectNotFound:
        raise ValueError(f"place: there is no deployment {deployment} for {stage.name}; `prefect deployment ls` lists them") from None
    assert isinstance(run, FlowRun), "called from synchronous code"
    get_run_logger().info("%s runs as %s on pool %s", stage.name, run.name, run.work_pool_name)
    try:
        run = _wait(run.id)
    except BaseException:
        _cancel(run.id)
        raise
    state = run.state
    assert state is not None, "a flow run that is over has a state"
    if not state.is_completed():
        problem = f"{stage.name} on {deployment} ended {state.name}: {state.message or 'see its log'}"
        raise ValueError(problem) if state.name == WRONG_INPUT else OSError(problem)


def _wait(run_id: UUID) -> FlowRun:
    with get_client(sync_client=True) as client:
        while True:
            run = client.read_flow_run(run_id)
            if run.state is not None and run.state.is_final():
                return run
            time.sleep(_POLL_S)


def _cancel(run_id: UUID) -> None:
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, Cancelling(), force=True)
