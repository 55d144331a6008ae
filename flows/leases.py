"""Who works on a flow run: a small file a run, so that a run whose process is gone can be told from one under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tasks.files import write_atomically
from tasks.owner import find_owner, is_alive, this_process

_TAKEN_UP_S = 60.0
"""More than passes between Prefect's word that a run runs and our first line in it, however busy the machine."""


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


def has_somebody(root: Path, run: dict[str, Any]) -> bool:
    """Whether anybody works on a flow run of Prefect's that is not over, or may be about to.

    A run that runs was taken up. One without a lease has lost its process where nobody could be told: its server was gone.
    """
    worked_on = is_worked_on(root, run["id"])
    if worked_on is not None:
        return worked_on
    since = datetime.now(UTC) - datetime.fromisoformat(run["state"]["timestamp"])
    if run["state_type"] == "RUNNING" and since.total_seconds() > _TAKEN_UP_S:
        return False
    # It was just submitted, or its process died before our first line ran.
    pid = str(run.get("infrastructure_pid") or "")
    return not pid.isdigit() or psutil.pid_exists(int(pid))


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
