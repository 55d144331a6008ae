"""Pipeline runs on a real Prefect server, a real MLflow server and two workers, all on loopback under a temporary root."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from flows import servers
from flows.prefect_api import TERMINAL, PrefectApi
from flows.processes import find
from flows.results import read_result
from tests.flows.tiny_flow import STAGES

DEADLINE_S = 120.0
T = TypeVar("T")


@dataclass(frozen=True)
class Site:
    root: Path
    services: servers.Services
    api: PrefectApi

    def submit(self, deployment: str, **parameters: Any) -> str:
        found = self.api.deployment(f"r1vl/{deployment}")
        return str(self.api.submit(found["id"], {**found["parameters"], **parameters})["id"])

    def finished(self, run_id: str) -> dict[str, Any]:
        """The run once it is over, with the states of its tasks, which the server learns of a moment later."""
        run = wait_until(lambda: (run := self.api.flow_run(run_id)) and run["state_type"] in TERMINAL and run)
        return {**run, "message": run["state"]["message"]}

    def states(self, run_id: str) -> dict[str, str]:
        def settled() -> dict[str, str] | None:
            tasks = [task for task in self.api.task_runs(run_id) if "/" not in task["name"]]
            over = all(task["state_type"] in TERMINAL for task in tasks)
            return {task["name"]: task["state_name"] for task in sorted(tasks, key=lambda task: task["start_time"])} if over else None

        return wait_until(lambda: (states := settled()) and len(states) == len(read_result(self.root, run_id).stages) and states)


def wait_until(probe: Callable[[], T | bool | None]) -> T:
    end = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while not (found := probe()):
        assert time.monotonic() < end, "waited too long"
        pause.wait(0.2)
    return found  # type: ignore[return-value]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("a site") / "root"
    table = yaml.safe_load(servers.DEPLOYMENTS.read_text())
    for deployment in table["deployments"]:
        deployment["entrypoint"] = "tests/flows/tiny_flow.py:r1vl"
        deployment["parameters"]["preset"] = "r1vl-2b"
        if deployment["name"] == "stepgrpo":
            deployment["work_pool"] = {"name": "gpu"}
    deployments = root.parent / "prefect.yaml"
    deployments.write_text(yaml.safe_dump(table))
    services = servers.up(root, pools=(servers.LOCAL_POOL, "gpu"), deployments=deployments)
    yield Site(root, services, PrefectApi(f"{services.prefect_url}/api"))
    servers.down(root)
    assert [each.name for each in services.running if find(each)] == []


def test_everything_is_built_once_and_reused_after(site: Site) -> None:
    first = site.submit("full-pipeline")
    run = site.finished(first)
    assert (run["state_type"], run["message"]) == ("COMPLETED", "built curate, key_steps, warmup, stepgrpo, evaluate, report")
    assert site.states(first) == dict.fromkeys(STAGES, "Completed")

    second = site.submit("full-pipeline")
    assert site.finished(second)["message"] == "everything was up to date"
    assert site.states(second) == dict.fromkeys(STAGES, "Cached")

    links = {each["key"]: each["data"] for each in site.api.artifacts(second)}
    made = read_result(site.root, first).stages["warmup"].mlflow_url
    assert made is not None
    assert made.startswith(site.services.mlflow_url)
    assert made in links["mlflow-warmup"]
    assert "report.html" in links["report"]

    last = read_result(site.root)
    assert last.run_id == second
    assert last.scores["stepgrpo"]["mean_step_rar"] == 0.8
    assert {stage.state for stage in last.stages.values()} == {"cached"}
