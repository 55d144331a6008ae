"""`r1vl doctor`: what a crash left behind, found and mended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from flows import servers
from flows.leases import drop_lease, is_worked_on
from flows.prefect_api import TERMINAL, PrefectApi
from tasks.mending import audit, repair
from tasks.spool import Unreachable
from tasks.store import Store
from tasks.supervise import end_processes, orphans
from tasks.tracking import Tracker


def examine(root: Path, *, mend: bool, deep: bool) -> list[str]:
    """Everything found, a line each; with `mend`, mended as well. `deep` reads every byte of every artifact."""
    if not root.is_dir():
        return []
    found = [*_lost_processes(mend), *_left_of_servers(root, mend), *_dead_servers(root, mend), *_store(root, mend, deep)]
    services = servers.read_services(root)
    if not servers.is_up(root):
        return [*found, "the servers are down, so flow runs and MLflow runs were not looked at; `r1vl up` first, then again"]
    api = PrefectApi(servers.environment(root, services)["PREFECT_API_URL"])
    return [*found, *abandoned_flow_runs(root, api, mend=mend), *_tracked_runs(root, services.mlflow_url, mend)]


def close_abandoned(root: Path, services: servers.Services) -> list[str]:
    """Close the flow runs that nobody works on any more; a line for each."""
    return list(abandoned_flow_runs(root, PrefectApi(servers.environment(root, services)["PREFECT_API_URL"]), mend=True))


def abandoned_flow_runs(root: Path, api: PrefectApi, *, mend: bool) -> Iterator[str]:
    """Flow runs of ours that say they run, with nobody behind them; with `mend` they become Crashed (or Cancelled)."""
    for run in api.flow_runs_in("RUNNING", "CANCELLING", "PENDING"):
        if api.flow_name(run["flow_id"]) != "r1vl" or _has_somebody(root, run):
            continue
        yield f"flow run {run['name']} ({run['id']}) says {run['state_name']}, but its process is gone"
        if mend:
            was_cancelled = run["state_type"] == "CANCELLING"
            _close(api, run["id"], "CANCELLED" if was_cancelled else "CRASHED")
            drop_lease(root, run["id"])


def _has_somebody(root: Path, run: dict[str, Any]) -> bool:
    worked_on = is_worked_on(root, run["id"])
    if worked_on is not None:
        return worked_on
    # Nobody took it up: it was just submitted, or its process died before our first line ran.
    pid = str(run.get("infrastructure_pid") or "")
    return not pid.isdigit() or psutil.pid_exists(int(pid))


def _close(api: PrefectApi, flow_run_id: str, state_type: str) -> None:
    message = "Its process is gone; found by r1vl doctor. Run it again: what was finished is reused."
    for task in api.task_runs(flow_run_id):
        if task["state_type"] not in TERMINAL:
            api.set_task_state(task["id"], state_type, message)
    api.set_state(flow_run_id, state_type, message)


def _lost_processes(mend: bool) -> Iterator[str]:
    lost = orphans()
    for process in lost:
        yield f"process {process.pid} is left of a training whose supervisor was killed"
    if mend and lost:
        end_processes(lost)


def _dead_servers(root: Path, mend: bool) -> Iterator[str]:
    for name in servers.forget_dead(root) if mend else servers.dead(root):
        yield f"{name} is recorded as running, but its process is gone"


def _left_of_servers(root: Path, mend: bool) -> Iterator[str]:
    for process, name in servers.left_of_servers(root).items():
        yield f"process {process.pid} is left of {name}, which was killed"
    if mend:
        servers.end_left_of_servers(root)


def _store(root: Path, mend: bool, deep: bool) -> Iterator[str]:
    store, verify = Store(root), "digest" if deep else "size"
    for fault in repair(store, verify) if mend else audit(store, verify):  # type: ignore[arg-type]
        yield f"{fault.kind.replace('_', ' ')}: {fault.path}: {fault.detail}"


def _tracked_runs(root: Path, url: str, mend: bool) -> Iterator[str]:
    tracker = Tracker(root, url)
    try:
        if mend:
            sent, left = tracker.replay()  # first: a run that seems to be under way may only have gone unheard
            if sent or left:
                yield f"records of {sent} runs that MLflow had missed were sent" + (f", {left} more wait for a server" if left else "")
        for run_id in tracker.reconcile() if mend else tracker.abandoned():
            yield f"MLflow run {run_id} says running, but its process is gone"
    except Unreachable as error:
        yield f"MLflow does not answer, so its runs were not looked at: {error}"
