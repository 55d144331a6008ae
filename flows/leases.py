"""Who works on a flow run: a small file a run, so that a run whose process is gone can be told from one under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tasks.files import write_atomically
from tasks.owner import find_owner, is_alive, this_process


@contextmanager
def leased(root: Path, flow_run_id: str) -> Iterator[None]:
    """Say, for the time of the block, that this process works on the flow run."""
    path = _path(root, flow_run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, this_process())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def is_worked_on(root: Path, flow_run_id: str) -> bool | None:
    """Whether the process that took up the flow run still lives (True for one on another host); None when nobody did."""
    try:
        return is_alive(_path(root, flow_run_id).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def process_of(root: Path, flow_run_id: str) -> psutil.Process | None:
    """The living process on this machine that works on the flow run; None when there is none."""
    try:
        owner = _path(root, flow_run_id).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return find_owner(owner)


def leases(root: Path) -> dict[str, float]:
    """The flow runs that were taken up and not given back, and when, in seconds since 1970; the oldest first."""
    taken_up = {path.name: path.stat().st_mtime for path in _path(root, "").glob("[!.]*")}
    return dict(sorted(taken_up.items(), key=lambda lease: lease[1]))


def drop_lease(root: Path, flow_run_id: str) -> None:
    """Forget the lease of a process that is gone."""
    _path(root, flow_run_id).unlink(missing_ok=True)


def _path(root: Path, flow_run_id: str) -> Path:
    return root / "runs" / "leases" / flow_run_id
