"""Who works on a flow run: a small file a run, so that a run whose process is gone can be told from one under way."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from flows.processes import find_process
from tasks.files import write_atomically


@dataclass(frozen=True, slots=True)
class Lease:
    """The process behind a flow run: its host, its id, its start in seconds since 1970.

    >>> Lease("box", 4711, 1.7e9).pid
    4711
    """

    host: str
    pid: int
    started: float

    @property
    def is_here(self) -> bool:
        """Whether the process belongs to this machine, so that we can see if it lives."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether the process runs still; only meaningful where `is_here`."""
        return find_process(self.pid, self.started) is not None


@contextmanager
def leased(root: Path, flow_run_id: str) -> Iterator[None]:
    """Say, for the time of the block, that this process works on the flow run."""
    path = _path(root, flow_run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    lease = Lease(socket.gethostname(), os.getpid(), psutil.Process().create_time())
    write_atomically(path, json.dumps(asdict(lease)))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def read_lease(root: Path, flow_run_id: str) -> Lease | None:
    """The lease of a flow run; None where nobody holds one, or where it cannot be read."""
    try:
        return Lease(**json.loads(_path(root, flow_run_id).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def drop_lease(root: Path, flow_run_id: str) -> None:
    """Forget the lease of a process that is gone."""
    _path(root, flow_run_id).unlink(missing_ok=True)


def leased_runs(root: Path) -> list[str]:
    """The ids of the flow runs that have a lease."""
    return [path.stem for path in sorted((root / "runs" / "leases").glob("*.json"))]


def _path(root: Path, flow_run_id: str) -> Path:
    return root / "runs" / "leases" / f"{flow_run_id}.json"
