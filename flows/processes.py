"""Processes that outlive the command that started them: begun apart from the terminal, recorded, and ended by record.

A record holds the process id and the moment the process began, so that a recycled id is never taken for ours. What such a process
starts inherits a mark in its environment, by which it is known for ours when the process itself was killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tasks.supervise import marked

HOST = "127.0.0.1"
"""Everything we start listens here and nowhere else."""

_MARK = "R1VL_SERVICE"
"""Environment variable of everything below a process begun here: whose it is, in the words of `_mark`."""

_LEAST_FREE = 4 * 2**20
"""Bytes; with less on the disk no server of ours can begin."""

_SAME_START_S = 2.0
"""Two readings of one process's start differ by less than this (the clock they are derived from is corrected now and then)."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One process we started.

    `started` is the process's start in seconds since 1970; `port` is 0 where it does not listen; `log` is the file its output goes to.

    >>> Recorded(name="mlflow", pid=4711, started=1.7e9, port=5001, log="/r/logs/mlflow.log").port
    5001
    """

    name: str
    pid: int
    started: float
    port: int
    log: str


class DidNotStart(RuntimeError):
    """A process of ours ended, or kept silent, before it was of use. The message names its log."""


def start(name: str, command: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path, port: int = 0) -> Recorded:
    """Start `command` in a session of its own, its output appended to `log`. Raises OSError when it cannot be started.

    By `cwd` and `name` its descendants are known when it is gone (see `left_behind`).
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            list(command),
            env={**env, _MARK: _mark(cwd, name)},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=_default_signals,
        )
    return Recorded(name, process.pid, psutil.Process(process.pid).create_time(), port, str(log))


def _default_signals() -> None:
    """Undo what a shell's `&` and nohup leave behind: a worker that ignores SIGINT cannot be stopped."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def find(recorded: Recorded) -> psutil.Process | None:
    """The recorded process if it still runs; None when it ended, also when its id belongs to another process by now."""
    return find_process(recorded.pid, recorded.started)


def find_process(pid: int, started: float) -> psutil.Process | None:
    """The process `pid` that began at `started` (seconds since 1970), or None when that one is gone."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < _SAME_START_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def stop(recorded: Recorded, grace_s: float) -> bool:
    """End the recorded process and all its descendants: SIGTERM, and SIGKILL after `grace_s`. False when it was gone already."""
    process = find(recorded)
    if process is None:
        return False
    try:
        family = [process, *process.children(recursive=True)]
        process.terminate()
    except psutil.NoSuchProcess:
        return False
    _gone, alive = psutil.wait_procs(family, timeout=grace_s)
    for survivor in alive:
        try:
            survivor.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=5)
    return True


def left_behind(cwd: Path, living: Iterable[Recorded]) -> dict[psutil.Process, str]:
    """What processes begun in `cwd` left when they were killed, with the name of each: descendants of none of the `living`."""
    alive = {each.pid for each in living if find(each)}
    ours = [(process, mark.removesuffix(_mark(cwd, ""))) for process, mark in marked(_MARK) if mark.endswith(_mark(cwd, ""))]
    return {process: name for process, name in ours if not alive & _lineage(process)}


def _mark(cwd: Path, name: str) -> str:
    return f"{name} of {cwd.resolve()}"


def _lineage(process: psutil.Process) -> set[int]:
    try:
        return {process.pid, *(parent.pid for parent in process.parents())}
    except psutil.NoSuchProcess:  # it ended while we looked; its end is noticed by whoever waits for it
        return {process.pid}


def choose_port(wanted: int | None, remembered: int | None, option: str) -> int:
    """A free loopback port: the wanted one, else the remembered one when free, else any.

    Raises ValueError when the wanted port is taken.
    """
    if wanted is not None:
        if not _is_free(wanted):
            raise ValueError(f"port {wanted} on {HOST} is in use; give another with {option}, or leave it out to have a free one chosen")
        return wanted
    if remembered and _is_free(remembered):
        return remembered
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True


def listens(recorded: Recorded) -> bool:
    """Whether the recorded process or one below it listens on its port: what answers there may as well be another root's server."""
    process = find(recorded)
    try:
        family = [process, *process.children(recursive=True)] if process else []
        sockets = [each for member in family for each in member.net_connections("inet") if each.status == psutil.CONN_LISTEN]
    except psutil.NoSuchProcess:  # one of them ended while we looked
        return False
    return any(each.laddr.port == recorded.port for each in sockets)


def wait_for(recorded: Recorded, is_ready: Callable[[], bool], deadline_s: float) -> None:
    """Return as soon as `is_ready`; raise DidNotStart when the process ends first or `deadline_s` passes."""
    end = time.monotonic() + deadline_s
    while not is_ready():
        _reap(recorded.pid)
        if find(recorded) is None:
            cause = _full_disk(Path(recorded.log)) or _last_line(recorded.log)
            raise DidNotStart(f"{recorded.name} ended while starting{cause}; its whole output: {recorded.log}")
        if time.monotonic() > end:
            raise DidNotStart(f"{recorded.name} did not answer within {deadline_s:.0f} s; its output: {recorded.log}")
        time.sleep(0.1)


def _reap(pid: int) -> None:
    """Collect the child's exit status if it ended (a zombie would look alive)."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _full_disk(log: Path) -> str:
    """What to do about a disk without room; a log on it ends in the middle, and says nothing of it."""
    free = shutil.disk_usage(log.parent).free
    cure = "free some space, or give another root with --root or R1VL_ROOT"
    return f": no space left on the disk of {log.parents[1]} ({free // 1024} KiB); {cure}" if free < _LEAST_FREE else ""


def _last_line(log: str) -> str:
    lines = [line.strip() for line in Path(log).read_text(errors="replace").splitlines() if line.strip()]
    return f": {lines[-1][:300]}" if lines else ""
