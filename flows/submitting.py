"""Flow runs from a terminal: `r1vl submit` starts and follows one, `r1vl watch` follows one again, `r1vl cancel` ends one."""

from __future__ import annotations

import shlex
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from flows import servers
from flows.choosing import choose, is_file_name
from flows.deploying import DEPLOYMENTS
from flows.doctor import close_abandoned
from flows.leases import is_worked_on, process_of
from flows.naming import run_name
from flows.prefect_api import TERMINAL, PrefectApi, Unreachable
from flows.results import WRONG_INPUT, print_result, read_result
from flows.runtime import runtime_from
from flows.watch import RunView, follow

FLOW = "r1vl"
_POLL_S = 0.2
_CANCEL_S = 20.0
"""A cancelled training has saved and ended after 15 seconds at most (`tasks.launch.GRACE_S`)."""
_GOING = {"state": {"type": {"not_any_": sorted(TERMINAL)}}}


@dataclass(frozen=True)
class _Desk:
    """Where runs are asked after: the servers under a root."""

    root: Path
    services: servers.Services
    api: PrefectApi
    console: Console

    def page(self, run_id: str) -> str:
        """Prefect's page of a run."""
        return f"{self.services.prefect_url}/runs/flow-run/{run_id}"

    def say(self, line: str) -> None:
        """Print one line as it is."""
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)


def submit_and_follow(root: Path, deployment: str, parameters: Mapping[str, Any], deployments: Path = DEPLOYMENTS) -> int:
    """Run a deployment and follow it; the exit status: 0 completed, 2 the user's mistake, 1 anything else.

    Ctrl-C cancels the run. Raises ValueError for an unknown deployment or parameters that do not fit.
    """
    console = Console()
    with console.status("starting the servers"):
        services = servers.up(root, deployments=deployments)
        close_abandoned(root, services)
    desk = _desk(root, services, console)
    # deployments are spelled as Prefect spells names, stages as Python does; people write either
    named = deployment if "/" in deployment else f"{FLOW}/{deployment.replace('_', '-')}"
    found = desk.api.deployment(named)
    parameters = laid_over(found["parameters"], parameters)
    run = desk.api.submit(found["id"], parameters, run_name(parameters) if "preset" in parameters else None)
    desk.say(f"{FLOW}/{found['name']}, {run['name']} → {desk.page(run['id'])}")
    try:
        view = follow(desk.api, run["id"], console)
    except KeyboardInterrupt:
        console.print("cancelling …")
        desk.api.cancel(run["id"])
        follow(desk.api, run["id"], console)
        raise
    return _conclude(desk, run["id"], view)


def laid_over(own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A deployment's own parameters with what was given laid over them, override by override.

    Raises ValueError for settings that its preset does not take; a preset in a file may lie with the worker, so only the flow can say.
    """
    overrides = {**(own.get("overrides") or {}), **(given.get("overrides") or {})}
    # Prefect replaces no default by itself here, and one setting more must not undo those the deployment is made of
    parameters = {**own, **given, **({"overrides": overrides} if overrides else {})}
    preset = parameters.get("preset")
    if isinstance(preset, str) and not is_file_name(preset):
        choose(preset, overrides, parameters.get("seed"), given_by="--set")
    return parameters


def watch(root: Path, wanted: str | None) -> int:
    """Follow a run (an id or a name; the newest that still goes, else the newest) to its result; the exit status as for `submit`.

    Ctrl-C ends the watching alone. Raises ValueError when there is no such run, or no server to ask.
    """
    desk = _desk_of_running(root)
    run = _find(desk, wanted)
    desk.say(f"{run['name']} → {desk.page(run['id'])}")
    try:
        return _conclude(desk, run["id"], follow(desk.api, run["id"], desk.console))
    except Unreachable:
        if not (root / "runs" / f"{run['id']}.json").exists():
            raise
        _print_result(desk, run["id"])  # a run of `r1vl run`, which has just taken its servers along
        return 0
    except KeyboardInterrupt:
        where = "" if runtime_from().root == root else f" --root {shlex.quote(str(root))}"
        desk.say(f"the run goes on; `r1vl watch {run['id']}{where}` follows it again, `r1vl cancel {run['id']}{where}` ends it")
        raise


def cancel(root: Path, wanted: str | None) -> None:
    """End a run that still goes (an id or a name; the newest), and wait for its end; a training saves a checkpoint first.

    Raises ValueError when there is no such run, when it is over, and when it goes on where nobody can be told.
    """
    desk = _desk_of_running(root)
    run = _find(desk, wanted)
    if run["state_type"] in TERMINAL:
        raise ValueError(f"{run['name']} ({run['id']}) is over: {run['state_name']}; nothing to cancel")
    desk.say(f"cancelling {run['name']} ({run['id']}) …")
    if run["deployment_id"] is not None:
        desk.api.cancel(run["id"])
        desk.say(follow(desk.api, run["id"], desk.console).state_type.lower())
        return
    process = process_of(root, run["id"])  # of `r1vl run`: no worker would hear of it
    if process is None:
        raise ValueError(
            f"{run['name']} ({run['id']}) does not run on this machine: end it where it was begun, or close it with `r1vl doctor`"
        )
    process.terminate()
    while is_worked_on(root, run["id"]):  # its lease goes with it; a process id lasts until somebody has asked for its exit status
        time.sleep(_POLL_S)
    desk.say("cancelled")


def cancel_going(root: Path) -> list[str]:
    """Cancel what the workers under `root` have under way and wait for its end, as long as a training may take to save.

    The names of the runs that were cancelled.
    """
    services = servers.read_services(root)
    if not (services.find("prefect") and services.has_worker()):
        return []
    api = _desk(root, services, Console()).api
    try:
        going = [run for run in api.flow_runs_in("RUNNING", "PENDING") if run["deployment_id"] and process_of(root, run["id"])]
        for run in going:
            api.cancel(run["id"])
    except Unreachable:  # then nobody hears of it, and ending the worker ends them
        return []
    end = time.monotonic() + _CANCEL_S
    while any(is_worked_on(root, run["id"]) for run in going) and time.monotonic() < end:
        time.sleep(_POLL_S)
    return [run["name"] for run in going]


def _desk(root: Path, services: servers.Services, console: Console) -> _Desk:
    return _Desk(root, services, PrefectApi(servers.environment(root, services)["PREFECT_API_URL"]), console)


def _desk_of_running(root: Path) -> _Desk:
    if not servers.is_up(root, ["prefect"]):  # a run goes on without MLflow
        raise ValueError(f"no Prefect server runs under {root}, so no run does; start it with `r1vl up`, a run with `r1vl submit`")
    services = servers.read_services(root)
    close_abandoned(root, services)  # who follows one of those waits for ever
    return _desk(root, services, Console())


def _find(desk: _Desk, wanted: str | None) -> dict[str, Any]:
    """The run that somebody means."""
    newest = desk.api.newest_flow_run
    if wanted is None:
        found = newest(FLOW, **_GOING) or newest(FLOW)
    else:
        found = newest(FLOW, **({"id": {"any_": [wanted]}} if _is_id(wanted) else {"name": {"any_": [wanted]}}))
    if found is None:
        which = "no run yet" if wanted is None else f"no run {wanted!r}: give its id or its whole name"
        raise ValueError(f"{which}; {desk.services.prefect_url}/runs lists them, `r1vl submit` begins one")
    return found


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _conclude(desk: _Desk, run_id: str, view: RunView) -> int:
    if view.state_type == "COMPLETED":
        _print_result(desk, run_id)
        return 0
    run = desk.api.flow_run(run_id)
    state = run["state"]
    desk.say(f"{state['name']}: {view.message or 'see the logs of the run'}")
    log = desk.root / "logs" / f"worker-{run['work_pool_name']}.log"
    if log.exists():
        desk.say(f"  the worker's log: {log}")
    return 2 if state["name"] == WRONG_INPUT else 1


def _print_result(desk: _Desk, run_id: str) -> None:
    result = read_result(desk.root, run_id)
    links = {"Prefect": desk.page(run_id), "MLflow": result.mlflow_url or desk.services.mlflow_url}
    print_result(desk.console, result, {**links, "report": result.report} if result.report else links)
