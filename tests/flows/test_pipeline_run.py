"""Pipeline runs on a real Prefect server, a real MLflow server and two workers, all on loopback under a temporary root."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from flows import servers
from flows.deploying import DEPLOYMENTS
from flows.doctor import examine
from flows.naming import run_name
from flows.newer import newer_runs
from flows.prefect_api import TERMINAL, PrefectApi
from flows.processes import find
from flows.results import read_result
from flows.submitting import cancel, cancel_going, submit_and_follow, watch
from tests.flows.tiny_flow import STAGES
from tests.flows.waiting import wait_until

pytestmark = pytest.mark.timeout(600)  # servers and flow runs are slow where other work keeps the processors busy


@dataclass(frozen=True)
class Site:
    root: Path
    deployments: Path
    services: servers.Services
    api: PrefectApi

    def submit(self, deployment: str, **given: Any) -> str:
        found = self.api.deployment(f"r1vl/{deployment}")
        parameters = {**found["parameters"], **given}
        return str(self.api.submit(found["id"], parameters, run_name(parameters))["id"])

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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("a site") / "root"
    table = yaml.safe_load(DEPLOYMENTS.read_text())
    for deployment in table["deployments"]:
        deployment["entrypoint"] = "tests/flows/tiny_flow.py:r1vl"
        deployment["parameters"]["preset"] = "r1vl-2b"
        if deployment["name"] == "stepgrpo":
            deployment["work_pool"] = {"name": "gpu"}
    deployments = root.parent / "prefect.yaml"
    deployments.write_text(yaml.safe_dump(table))
    services = servers.up(root, pools=(servers.LOCAL_POOL, "gpu"), deployments=deployments)
    yield Site(root, deployments, services, PrefectApi(f"{services.prefect_url}/api"))
    servers.down(root)
    assert [each.name for each in services.running if find(each)] == []


def test_everything_is_built_once_and_reused_after(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    documented = f'eval "$({sys.executable} -m flows env)" && prefect deployment run r1vl/full-pipeline --watch'
    done = subprocess.run(
        ["bash", "-c", documented], env={**os.environ, "R1VL_ROOT": str(site.root)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first = read_result(site.root)
    assert site.finished(first.run_id)["message"] == "built curate, key_steps, warmup, stepgrpo, evaluate, report"
    assert site.states(first.run_id) == dict.fromkeys(STAGES, "Completed")

    assert submit_and_follow(site.root, "full-pipeline", {}, site.deployments) == 0
    told = capsys.readouterr().out
    second = read_result(site.root)
    assert second.run_id != first.run_id
    assert site.finished(second.run_id)["message"] == "everything was up to date"
    assert site.states(second.run_id) == dict.fromkeys(STAGES, "Cached")
    for shown in (
        "r1vl/full-pipeline, r1vl-2b seed 0 → ",
        "warmup: Cached",
        "50.0 %",
        "0.800",
        "cached",
        second.run_id,
        site.services.mlflow_url,
        "report.html",
    ):
        assert shown in told

    links = {each["key"]: each["data"] for each in site.api.artifacts(second.run_id)}
    made = first.stages["warmup"].mlflow_url
    assert made is not None
    assert made.startswith(site.services.mlflow_url)
    assert made in links["mlflow-warmup"]
    assert "report.html" in links["report"]
    assert second.scores["stepgrpo"]["mean_step_rar"] == 0.8


def test_a_stage_deployment_rebuilds_its_own_stage_when_forced(site: Site) -> None:
    run_id = site.submit("warmup", force=True)
    assert site.finished(run_id)["message"] == "built warmup"
    assert site.states(run_id) == {"curate": "Cached", "key_steps": "Cached", "warmup": "Completed"}


def test_mistakes_end_in_one_clear_line(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"no deployment r1vl/nope on .*; there are curate, "):
        submit_and_follow(site.root, "nope", {}, site.deployments)
    with pytest.raises(ValueError, match="until"):
        site.submit("full-pipeline", until="nope")
    too_large = site.submit("warmup", overrides={"warmup.learning_rate": 2})
    with pytest.raises(ValueError, match="no preset named 'huge'; there are "):
        submit_and_follow(site.root, "full-pipeline", {"preset": "huge"}, site.deployments)
    assert watch(site.root, site.submit("full-pipeline", preset="huge")) == 2  # as Prefect's own command would
    assert "Wrong input: no preset named 'huge'; there are " in capsys.readouterr().out
    run = site.finished(too_large)
    assert (run["state_name"], run["message"]) == ("Wrong input", "learning rate 2.0: too large; use one below 1")
    told = f"({too_large}) failed: learning rate 2.0: too large; use one below 1"
    assert [line for line in newer_runs(site.root) if line.endswith(told)]
    # what a run logs reaches the server a moment after its state
    logged = wait_until(lambda: (lines := [row["message"] for row in site.api.logs(too_large)]) and "too large" in "".join(lines) and lines)
    assert [line for line in logged if "Traceback" in line] == []
    assert len([line for line in logged if "too large" in line]) == 1


def test_a_stage_runs_on_another_pool_when_the_deployment_says_so(site: Site) -> None:
    run_id = site.submit("full-pipeline", overrides={"stepgrpo.alpha": 0.2}, place={"stepgrpo": "r1vl/stepgrpo"})
    assert site.finished(run_id)["message"].endswith("stepgrpo, evaluate, report")
    (placed,) = site.api.children(run_id)
    assert (placed["work_pool_name"], placed["state_type"]) == ("gpu", "COMPLETED")
    assert site.states(placed["id"])["stepgrpo"] == "Completed"


def child_of(root: Path) -> psutil.Process | None:
    """The counting process of a run under this root."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if len(words) > 2 and words[1].endswith("counting_child.py") and words[2].startswith(str(root)) and "-P" not in words:
            return process
    return None


def counting(site: Site) -> psutil.Process:
    """The counting process, once it has counted to three."""

    def counted() -> psutil.Process | None:
        child = child_of(site.root)
        path = Path(child.cmdline()[2]) if child else None
        return child if path and path.exists() and int(path.read_text() or 0) >= 3 else None

    return wait_until(counted)


def test_a_cancelled_run_ends_its_child_and_the_next_resumes(site: Site) -> None:
    overrides = {"warmup.num_epochs": 40}
    run_id = site.submit("warmup", overrides=overrides)
    child = counting(site)
    site.api.cancel(run_id)
    child.wait(timeout=15)
    run = site.finished(run_id)
    assert run["state_type"] == "CANCELLED"
    assert examine(site.root, mend=False, deep=True).found == ()

    again = site.submit("warmup", overrides=overrides)
    assert site.finished(again)["message"] == "built warmup"
    log = (site.root / "logs" / "runs" / again / "warmup.log").read_text()
    assert "counting from 0" not in log
    assert "counting from " in log
    (progress,) = [each for each in site.api.artifacts(again) if each["key"] == "progress-warmup"]
    assert float(progress["data"]) == 100.0


def progress_of(site: Site, run_id: str) -> str:
    lines = [each["description"] for each in site.api.artifacts(run_id) if each["key"] == "progress-warmup"]
    return lines[0] if lines else ""


def test_before_the_servers_end_what_is_under_way_is_cancelled(site: Site) -> None:
    run_id = site.submit("warmup", overrides={"warmup.num_epochs": 700}, seed=9)
    counting(site)
    assert cancel_going(site.root) == [site.api.flow_run(run_id)["name"]]
    assert site.finished(run_id)["state_type"] == "CANCELLED"
    assert cancel_going(site.root) == []


def test_a_run_that_waits_for_another_ones_stage_says_for_whom_and_is_followed_and_cancelled(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    order = {"overrides": {"warmup.num_epochs": 400}, "until": "warmup"}
    first = site.submit("warmup", **order)
    builder = counting(site).parent().ppid()  # type: ignore[union-attr]
    second, third = (site.submit("warmup", **order) for _ in range(2))
    for run_id in (second, third):
        line = wait_until(lambda run_id=run_id: progress_of(site, run_id))
        assert re.fullmatch(rf"waiting: process {builder}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d, is building it", line)
        assert wait_until(lambda run_id=run_id, line=line: line in [row["message"] for row in site.api.logs(run_id)])
    cancel(site.root, second)
    assert {task["name"]: task["state_name"] for task in site.api.task_runs(second)}["warmup"] == "Cancelled"
    assert watch(site.root, second) == 1

    assert watch(site.root, first) == 0
    assert watch(site.root, third) == 0
    told = capsys.readouterr().out
    assert f"cancelling r1vl-2b seed 0: until warmup, warmup.num_epochs=400 ({second}) …\n" in told
    assert site.states(third)["warmup"] == "Cached"
    stage = read_result(site.root, first).stages["warmup"]
    for shown in (
        "warmup: Running · step ",
        "warmup: warning: counting teaches nothing\n",
        "warmup: Cached",
        stage.digest[:12],
        f"/runs/flow-run/{third}",
    ):
        assert shown in told
    with pytest.raises(ValueError, match="is over: Completed; nothing to cancel"):
        cancel(site.root, None)
    with pytest.raises(ValueError, match="no run 'another': give its id or its whole name"):
        watch(site.root, "another")


def test_cancelling_a_run_cancels_the_stage_it_placed_elsewhere(site: Site) -> None:
    run_id = site.submit("full-pipeline", overrides={"warmup.num_epochs": 41}, place={"warmup": "r1vl/stepgrpo"})
    child = counting(site)
    (placed,) = site.api.children(run_id)
    assert placed["work_pool_name"] == "gpu"
    site.api.cancel(run_id)
    child.wait(timeout=15)
    assert site.finished(run_id)["state_type"] == "CANCELLED"
    assert site.finished(placed["id"])["state_type"] == "CANCELLED"
    assert examine(site.root, mend=False, deep=True).found == ()


def test_doctor_closes_a_run_whose_processes_were_killed_and_up_mends_the_rest(site: Site) -> None:
    run_id = site.submit("stepgrpo", overrides={"warmup.num_epochs": 300})
    child = counting(site)
    engine = psutil.Process(child.parent().ppid())  # type: ignore[union-attr]
    worker = site.services.find("worker gpu")
    assert worker is not None
    for pid in (worker.pid, engine.pid):
        os.kill(pid, signal.SIGKILL)
    child.wait(timeout=15)
    assert site.api.flow_run(run_id)["state_type"] == "RUNNING"

    found = "\n".join(finding.text for finding in examine(site.root, mend=True, deep=False).found)
    assert f"({run_id}) says Running, but its process is gone" in found
    assert "worker gpu is recorded as running, but its process is gone" in found
    assert "MLflow run" in found
    assert site.api.flow_run(run_id)["state_type"] == "CRASHED"
    assert examine(site.root, mend=True, deep=False).found == ()

    before = servers.read_services(site.root)
    after = servers.up(site.root, pools=(servers.LOCAL_POOL, "gpu"), deployments=site.deployments)
    assert after.ports == before.ports
    assert {each.name for each in after.running} - {each.name for each in before.running} == {"worker gpu"}
    servers.down(site.root)
    assert child_of(site.root) is None
