"""Processes of ours are ended, those of others never."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from flows.processes import DidNotStart, choose_port, find, listens, start, stop, wait_for

SLEEP = "import time; time.sleep(120)"
FAMILY = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{SLEEP}']); print('both', flush=True); {SLEEP}"


def python(code: str, tmp_path: Path, name: str = "sleeper"):
    return start(name, [sys.executable, "-c", code], os.environ, tmp_path, tmp_path / "logs" / f"{name}.log")


def test_a_process_is_found_and_ended_with_its_children(tmp_path: Path) -> None:
    recorded = python(FAMILY, tmp_path)
    wait_for(recorded, lambda: "both" in Path(recorded.log).read_text(), 20)
    process = find(recorded)
    assert process is not None
    (child,) = process.children()
    assert stop(recorded, grace_s=1)
    assert find(recorded) is None
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert not stop(recorded, grace_s=10)


def test_a_recycled_process_id_is_left_alone(tmp_path: Path) -> None:
    recorded = python(SLEEP, tmp_path)
    another = replace(recorded, started=recorded.started - 3600)
    assert find(another) is None
    assert not stop(another, grace_s=1)
    assert find(recorded) is not None
    stop(recorded, grace_s=10)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    recorded = python(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}", tmp_path)
    wait_for(recorded, lambda: "deaf" in Path(recorded.log).read_text(), 20)
    assert stop(recorded, grace_s=0.2)
    assert find(recorded) is None


def test_signals_a_shell_ignores_reach_what_we_start(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        recorded = python("import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, flush=True)", tmp_path)
        psutil.wait_procs([psutil.Process(recorded.pid)], timeout=20)
    finally:
        signal.signal(signal.SIGINT, before)
    assert Path(recorded.log).read_text() == "False\n"


def test_a_process_that_dies_while_starting_is_named_with_its_log(tmp_path: Path) -> None:
    recorded = python("raise SystemExit('no database')", tmp_path, "mlflow")
    with pytest.raises(DidNotStart, match=r"mlflow ended while starting: no database.*mlflow\.log"):
        wait_for(recorded, lambda: False, 20)


def test_a_full_disk_is_named_where_the_log_could_not_hold_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = python("raise SystemExit(1)", tmp_path, name="prefect")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=4096))
    with pytest.raises(DidNotStart, match=rf"no space left on the disk of {tmp_path} \(4 KiB\); free some space"):
        wait_for(recorded, lambda: False, 20)


def test_a_process_that_keeps_silent_is_named_with_its_log(tmp_path: Path) -> None:
    recorded = python(SLEEP, tmp_path)
    with pytest.raises(DidNotStart, match=r"sleeper did not answer within 0 s.*sleeper\.log"):
        wait_for(recorded, lambda: False, 0)
    stop(recorded, grace_s=10)


def test_a_port_in_use_is_refused_and_a_remembered_one_kept() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"port {port} on 127.0.0.1 is in use; give another with --mlflow-port"):
            choose_port(port, None, "--mlflow-port")
        assert choose_port(None, port, "--mlflow-port") != port
    assert choose_port(None, port, "--mlflow-port") == port


LISTENER = (
    "import socket, sys, time; s = socket.socket(); s.bind(('127.0.0.1', {port})); s.listen(); print('open', flush=True); time.sleep(120)"
)


def test_a_server_of_ours_is_up_once_it_listens_itself_or_one_below_it(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        idle = replace(python(SLEEP, tmp_path), port=port)
        assert not listens(idle), "another process listens on that port"
        stop(idle, grace_s=10)
    code = LISTENER.format(port=port)
    for name, program in (("itself", code), ("below", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])")):
        server = replace(python(program, tmp_path, name), port=port)
        wait_for(server, lambda log=server.log: "open" in Path(log).read_text(), 20)
        assert listens(server)
        stop(server, grace_s=10)
        assert not listens(server)
