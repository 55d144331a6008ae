"""What has happened under a root since the result that `r1vl results` shows: runs that failed, were killed, or still go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flows.leases import is_worked_on, leases
from tasks.files import write_atomically


@contextmanager
def failure_noted(root: Path, run: str) -> Iterator[None]:
    """Leave a line on how the run ended, should the block fail; the next failure takes its place. `run` says which run it is."""
    try:
        yield
    except BaseException as problem:
        how = f"failed: {_first_line(problem)}" if isinstance(problem, Exception) else "was interrupted"
        with suppress(OSError):  # a full disk, say, is what the run has failed of
            write_atomically(_failure(root), f"{run} {how}")
        raise


def newer_runs(root: Path) -> Iterator[str]:
    """A line for each run that is newer than the last result: the last one that failed, those killed, those under way.

    Raises ValueError when there is no result yet because the first run is under way.
    """
    going = [run_id for run_id in leases(root) if is_worked_on(root, run_id)]
    if going and not (root / "runs" / "last.json").exists():
        raise ValueError(f"no result of the whole pipeline under {root} yet; a run is under way: `r1vl watch {going[-1]}`")
    since = _changed(root / "runs" / "last.json")
    if _changed(_failure(root)) > since:
        yield f"a newer run has no result: {_failure(root).read_text(encoding='utf-8')}"
    for run_id, taken_up in leases(root).items():
        if taken_up > since:
            how = f"is under way: `r1vl watch {run_id}`" if run_id in going else f"({run_id}) was killed; `r1vl doctor` closes it"
            yield f"a newer run {how}"


def _first_line(problem: Exception) -> str:
    return next(iter(str(problem).splitlines()), type(problem).__name__).removesuffix("; its last lines:")


def _failure(root: Path) -> Path:
    return root / "runs" / "last-failure.txt"


def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0
