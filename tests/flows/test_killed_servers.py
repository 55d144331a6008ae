"""What is left of a server that was killed is seen, and ended; whatever else listens is let alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flows import servers
from flows.doctor import examine
from flows.processes import find
from flows.submitting import cancel, watch

pytestmark = pytest.mark.timeout(600)  # real servers start slowly where other work keeps the processors busy


def kill_mlflow(root: Path) -> list[psutil.Process]:
    """What a killed MLflow server leaves running."""
    recorded = servers.read_services(root).find("mlflow")
    assert recorded is not None
    process = find(recorded)
    assert process is not None
    children = process.children(recursive=True)
    process.kill()
    process.wait(timeout=10)
    assert any(child.is_running() for child in children)
    return children


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    servers.up_for_runs(tmp_path)
    yield tmp_path
    servers.down(tmp_path)


def test_what_a_killed_server_left_is_ended_by_up_down_and_doctor(root: Path) -> None:
    ports = servers.read_services(root).ports
    left = kill_mlflow(root)
    after = servers.up_for_runs(root)
    assert after.ports == ports
    assert servers.is_up(root)
    assert not psutil.wait_procs(left, timeout=10)[1]
    assert servers.left_of_servers(root) == {}

    left = kill_mlflow(root)
    (told,) = [one.text for one in examine(root, mend=False, deep=False).found if "left of mlflow" in one.text]
    assert told in [f"process {child.pid} is left of mlflow, which was killed" for child in left]
    examine(root, mend=True, deep=False)
    assert not psutil.wait_procs(left, timeout=10)[1]

    servers.up_for_runs(root)
    left = kill_mlflow(root)
    assert servers.down(root) == ["prefect", "what a killed mlflow left"]
    assert not psutil.wait_procs(left, timeout=10)[1]
    assert servers.down(root) == []


def test_runs_are_asked_for_although_mlflow_was_killed(root: Path) -> None:
    kill_mlflow(root)
    for ask in (watch, cancel):
        with pytest.raises(ValueError, match="no run yet"):
            ask(root, None)
    (unseen,) = examine(root, mend=True, deep=False).unseen
    assert unseen.startswith("MLflow does not answer")
