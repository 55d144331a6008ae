"""Which process a run belongs to, in a word that no later process can be mistaken for."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_process() -> str:
    """Host, boot, process id and start of this process: "host boot 4711 123456"."""
    pid = psutil.Process().pid
    return f"{socket.gethostname()} {_boot()} {pid} {_started(pid)}"


def is_alive(owner: str) -> bool:
    """Whether the process that `this_process` named still runs; True for one on another host, where we cannot look."""
    host, _, rest = owner.partition(" ")
    boot, _, process = rest.partition(" ")
    pid, _, started = process.partition(" ")
    if host != socket.gethostname() or not pid.isdigit():
        return True
    return boot == _boot() and started != "" and started == _started(int(pid))


def find_owner(owner: str) -> psutil.Process | None:
    """The process that `this_process` named, if it lives on this machine."""
    host, _, rest = owner.partition(" ")
    return psutil.Process(int(rest.split()[1])) if host == socket.gethostname() and is_alive(owner) else None


def _boot() -> str:
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else f"{psutil.boot_time():.0f}"


def _started(pid: int) -> str:
    """Clock ticks between boot and the start of a process (a wall-clock time would move with the clock); "" when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] == "Z" else fields[19]
