"""`r1vl run`: one line for a mistake, and an interruption that leaves nothing but a checkpoint."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows import servers
from flows.processes import find
from flows.submitting import watch
from tests.flows.waiting import wait_until

pytestmark = pytest.mark.timeout(600)  # servers and flow runs are slow where other work keeps the processors busy
SMALL = ("run", "tiny", "--until", "warmup", "--set", "world.num_questions=32", "--set", "world.num_heldout=4")
RERUN = "a rerun goes on from there"


def begin(root: Path, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
    """The r1vl command begun under `root`, and the file that holds what it tells."""
    told = root / f"told-{time.monotonic_ns()}"
    with told.open("w") as out:
        command = [sys.executable, "-m", "flows", *arguments, "--root", str(root)]
        return subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "COLUMNS": "400"}), told


def training(root: Path) -> psutil.Process | None:
    here = (process for process in psutil.process_iter(["cmdline"]) if str(root) in " ".join(process.info["cmdline"] or []))
    return next((process for process in here if (process.info["cmdline"] or [])[1:3] == ["-m", "tasks.trainer"]), None)


def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    run, told = begin(tmp_path, *SMALL, "--set", "model=/no/such/model")
    assert run.wait(timeout=240) == 2, told.read_text()
    text = told.read_text()
    assert text.splitlines()[-1].startswith("r1vl: model /no/such/model: no such folder")
    assert text.count("no such folder") == 1
    assert "NoneType" not in text


def test_an_interrupted_run_ends_as_cancelled_and_takes_its_servers_and_its_training_along(tmp_path: Path) -> None:
    """Ctrl-C here; SIGTERM where its servers start, and where it is cancelled (below)."""
    run, told = begin(tmp_path, *SMALL)
    trainer = wait_until(lambda: training(tmp_path))
    started = servers.read_services(tmp_path).running
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=60) == 130, told.read_text()
    text = told.read_text()
    assert text.count(RERUN) == 1
    for absent in ("Crash", "Traceback", "Aborted"):
        assert absent not in text
    assert not trainer.is_running()
    assert len(started) == 2
    assert [each.name for each in started if find(each)] == []
    assert servers.down(tmp_path) == []


def test_a_run_that_is_ended_while_its_servers_start_takes_them_along(tmp_path: Path) -> None:
    run, told = begin(tmp_path, *SMALL)
    started = wait_until(lambda: (found := servers.read_services(tmp_path).running) and len(found) == 2 and found)
    run.terminate()
    assert run.wait(timeout=60) == 143, told.read_text()
    assert [each.name for each in started if find(each)] == []
    assert servers.down(tmp_path) == []


def test_a_run_whose_prefect_server_is_killed_ends_with_a_line_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "0")  # else it asks for minutes
    run, told = begin(tmp_path, *SMALL)
    wait_until(lambda: training(tmp_path))
    server = servers.read_services(tmp_path).find("prefect")
    assert server is not None
    process = find(server)
    assert process is not None
    for each in [process, *process.children(recursive=True)]:
        each.kill()
    assert run.wait(timeout=240) == 1, told.read_text()
    last = told.read_text().splitlines()[-1]
    assert last.startswith("r1vl: the Prefect server at ")
    assert last.endswith("what was finished is kept, so run the same again")
    assert servers.down(tmp_path) == []


def test_a_run_without_a_worker_is_seen_waited_for_and_cancelled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = (*SMALL, "--set", "warmup.num_epochs=500")
    first, told = begin(tmp_path, *long)
    wait_until(lambda: training(tmp_path))
    second, waiting = begin(tmp_path, *long)
    wait_until(lambda: f"waiting: process {first.pid}, since" in waiting.read_text())
    second.send_signal(signal.SIGINT)  # ends the wait, and nothing else
    assert second.wait(timeout=60) == 130, waiting.read_text()
    assert waiting.read_text().count(RERUN) == 1

    following, followed = begin(tmp_path, "watch")
    wait_until(lambda: "warmup: Running" in followed.read_text())
    following.send_signal(signal.SIGINT)  # ends the watching, and nothing else
    assert following.wait(timeout=60) == 130
    told_how = re.search(r"the run goes on; `r1vl watch \S+ --root \S+` follows it again, `r1vl (cancel .*)` ends it", followed.read_text())
    assert told_how is not None
    cancelled = subprocess.run([sys.executable, "-m", "flows", *told_how[1].split()], capture_output=True, text=True, check=True)
    assert first.wait(timeout=60) == 143, told.read_text()
    assert "cancelling tiny seed 0: until warmup, world.num_questions=32, " in cancelled.stdout

    services = servers.up_for_runs(tmp_path)
    assert watch(tmp_path, None) == 1
    assert "Cancelled: interrupted: what was finished is kept" in capsys.readouterr().out
    assert [each.name for each in services.running] == servers.down(tmp_path)[::-1]
