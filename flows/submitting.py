"""`r1vl submit`: servers up, a deployment run on them, followed to its end, its result printed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from flows import servers
from flows.deploying import DEPLOYMENTS
from flows.doctor import close_abandoned
from flows.prefect_api import PrefectApi
from flows.results import WRONG_INPUT, print_result, read_result
from flows.watch import RunView, follow

FLOW = "r1vl"


def submit_and_follow(root: Path, deployment: str, parameters: Mapping[str, Any], deployments: Path = DEPLOYMENTS) -> int:
    """Run a deployment and follow it; the exit status: 0 completed, 2 the user's mistake, 1 anything else.

    Ctrl-C cancels the run. Raises ValueError for an unknown deployment or parameters that do not fit.
    """
    console = Console()
    with console.status("starting the servers"):
        services = servers.up(root, deployments=deployments)
        close_abandoned(root, services)
    api = PrefectApi(servers.environment(root, services)["PREFECT_API_URL"])
    found = api.deployment(deployment if "/" in deployment else f"{FLOW}/{deployment}")
    # Prefect replaces no default by itself here: what is given is laid over the deployment's own parameters
    run = api.submit(found["id"], {**found["parameters"], **parameters})
    page = f"{services.prefect_url}/runs/flow-run/{run['id']}"
    console.print(f"{FLOW}/{found['name']} → {page}", soft_wrap=True, highlight=False)
    try:
        view = follow(api, run["id"], console)
    except KeyboardInterrupt:
        console.print("cancelling …")
        api.cancel(run["id"])
        follow(api, run["id"], console)
        raise
    return _conclude(root, console, services, api, run["id"], view)


def _conclude(root: Path, console: Console, services: servers.Services, api: PrefectApi, run_id: str, view: RunView) -> int:
    if view.state_type != "COMPLETED":
        state = api.flow_run(run_id)["state"]
        console.print(f"{state['name']}: {view.message or 'see the logs of the run'}", soft_wrap=True, highlight=False, markup=False)
        console.print(f"  the worker's log: {root / 'logs' / f'worker-{servers.LOCAL_POOL}.log'}", soft_wrap=True, highlight=False)
        return 2 if state["name"] == WRONG_INPUT else 1
    result = read_result(root, run_id)
    links = {"Prefect": f"{services.prefect_url}/runs/flow-run/{run_id}", "MLflow": result.mlflow_url or services.mlflow_url}
    print_result(console, result, {**links, "report": result.report} if result.report else links)
    return 0
