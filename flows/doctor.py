"""`r1vl doctor`: what a crash left behind, found and mended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flows import servers
from flows.leases import drop_lease, has_somebody
from flows.prefect_api import TERMINAL, PrefectApi
from tasks.mending import audit, repair
from tasks.spool import Unreachable
from tasks.store import Store, Verify
from tasks.supervise import end_processes, orphans
from tasks.tracking import Tracker


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a crash left behind, in a line, and whether it is mended now.

    >>> Finding("worker is recorded as running, but its process is gone", mended=True).mended
    True
    """

    text: str
    mended: bool


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found, and what could not be looked at (which says nothing about whether it is well)."""

    found: tuple[Finding, ...]
    unseen: tuple[str, ...]

    def verdict(self) -> str:
        """The closing line."""
        if not self.found:
            return "nothing else is wrong" if self.unseen else "all well"
        unmended = sum(not finding.mended for finding in self.found)
        if unmended == len(self.found):
            return f"{unmended} found; `r1vl doctor` without --look mends"
        return f"{len(self.found)} found, {len(self.found) - unmended} mended" if unmended else f"{len(self.found)} found and mended"


def examine(root: Path, *, mend: bool, deep: bool) -> Examined:
    """Everything that is wrong; with `mend`, mended as well. `deep` reads every byte of every artifact.

    Raises ValueError for a root that is no folder.
    """
    if not root.is_dir():
        raise ValueError(f"there is nothing at {root}: no run has worked there; give another root with --root or R1VL_ROOT")
    lost = (*_lost_processes(root, mend), *_left_of_servers(root, mend), *_dead_servers(root, mend))
    found = [Finding(line, mend) for line in lost]
    found += _store(root, mend, deep)
    services = servers.read_services(root)
    if not servers.is_up(root, ["prefect"]):
        unseen = "the servers are down, so flow runs and MLflow runs were not looked at; `r1vl up` first, then again"
        return Examined(tuple(found), (unseen,))
    api = PrefectApi(servers.environment(root, services)["PREFECT_API_URL"])
    found += [Finding(line, mend) for line in abandoned_flow_runs(root, api, mend=mend)]
    try:
        found += [Finding(line, mend) for line in _tracked_runs(root, services.mlflow_url, mend)]
    except Unreachable as error:
        return Examined(tuple(found), (f"MLflow does not answer, so its runs were not looked at: {error}",))
    return Examined(tuple(found), ())


def close_abandoned(root: Path, services: servers.Services) -> list[str]:
    """Close the flow runs that nobody works on any more; a line for each."""
    return list(abandoned_flow_runs(root, PrefectApi(servers.environment(root, services)["PREFECT_API_URL"]), mend=True))


def abandoned_flow_runs(root: Path, api: PrefectApi, *, mend: bool) -> Iterator[str]:
    """Flow runs of ours that say they run, with nobody behind them; with `mend` they become Crashed (or Cancelled)."""
    for run in api.flow_runs_in("RUNNING", "CANCELLING", "PENDING"):
        if api.flow_name(run["flow_id"]) != "r1vl" or has_somebody(root, run):
            continue
        yield f"flow run {run['name']} ({run['id']}) says {run['state_name']}, but its process is gone"
        if mend:
            was_cancelled = run["state_type"] == "CANCELLING"
            _close(api, run["id"], "CANCELLED" if was_cancelled else "CRASHED")
            drop_lease(root, run["id"])


def _close(api: PrefectApi, flow_run_id: str, state_type: str) -> None:
    message = "Its process is gone; found by r1vl doctor. Run it again: what was finished is reused."
    for task in api.task_runs(flow_run_id):
        if task["state_type"] not in TERMINAL:
            api.set_task_state(task["id"], state_type, message)
    api.set_state(flow_run_id, state_type, message)


def _lost_processes(root: Path, mend: bool) -> Iterator[str]:
    lost = orphans(root)
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


def _store(root: Path, mend: bool, deep: bool) -> Iterator[Finding]:
    store = Store(root)
    verify: Verify = "digest" if deep else "size"
    for fault in repair(store, verify) if mend else audit(store, verify):
        # What cannot be removed (another's file, a disk gone read-only) is passed over, so look.
        yield Finding(f"{fault.kind.replace('_', ' ')}: {fault.path}: {fault.detail}", mend and not fault.path.exists())


def _tracked_runs(root: Path, url: str, mend: bool) -> list[str]:
    tracker = Tracker(root, url)
    found = []
    if mend:
        sent, left = tracker.replay()  # first: a run that seems to be under way may only have gone unheard
        if sent or left:
            found.append(f"records of {sent} runs that MLflow had missed were sent" + (f", {left} more wait for a server" if left else ""))
    abandoned = tracker.reconcile() if mend else tracker.abandoned()
    return [*found, *(f"MLflow run {run_id} says running, but its process is gone" for run_id in abandoned)]
