"""Two builders of one key: the second waits, and no lock outlives its holder."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from tasks.mending import audit, repair
from tasks.store import Store
from tests.tasks.programs.builder import RECIPE

ROOT = Path(__file__).parents[2]
BUILDER = Path(__file__).parent / "programs" / "builder.py"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "root")


@pytest.fixture
def builder(store: Store) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a process that puts an artifact and says how far it is."""
    started = []

    def start(*manner: str) -> subprocess.Popen[str]:
        arguments = [sys.executable, str(BUILDER), str(store.root), *manner]
        process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def assert_waits_for(first: subprocess.Popen[str], second: subprocess.Popen[str]) -> None:
    told = re.fullmatch(rf"waiting for process {first.pid}, since (\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d),", heard(second))
    assert told is not None
    begun = psutil.Process(first.pid).create_time()
    assert begun - 2 <= datetime.fromisoformat(told[1]).timestamp() <= psutil.Process(second.pid).create_time() + 2


def test_a_second_builder_waits_and_gets_the_first_ones_artifact(builder: Callable[..., subprocess.Popen[str]]) -> None:
    first = builder()
    assert heard(first) == "building"
    second = builder()
    assert_waits_for(first, second)
    first.communicate("go\n")
    assert heard(second) == f"has the artifact of {first.pid}"


def test_the_lock_dies_with_its_holder_even_if_a_forked_worker_lives_on(
    store: Store, builder: Callable[..., subprocess.Popen[str]]
) -> None:
    first = builder("fork")
    worker = int(heard(first).split()[1])
    assert heard(first) == "building"
    assert audit(store) == []  # a build under way is no fault
    second = builder()
    assert_waits_for(first, second)
    first.kill()
    assert heard(second) == "building"
    os.kill(worker, signal.SIGKILL)
    second.kill()
    second.wait()
    assert [fault.kind for fault in repair(store)] == ["leftover_build"]
    assert audit(store) == []
    assert store.get(RECIPE) is None
    assert (store.work_dir(RECIPE) / "checkpoint").read_text() == "step 1"
