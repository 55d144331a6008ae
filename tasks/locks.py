"""Locks that die with their holder: `flock` on a file, never a marker that a crash leaves behind.

The kernel releases the lock when the last descriptor of it closes, so `kill -9` frees it at once. Forked children drop their
copy of the descriptor, or a worker that outlives its parent would keep the lock. On NFS, flock works between hosts from
Linux 2.6.12 on, as a lease of the server.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

_POLL_S = 0.05
_held: set[int] = set()


def _close_in_child() -> None:
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)


@contextmanager
def locked(path: Path, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock `path`, waiting for whoever holds it; a signal whose handler raises ends the wait.

    `on_wait` hears once who that is and since when, in local time ("process 4711, since 2026-05-31 14:05:09,"). The file stays behind:
    an unlocked lock file means nothing. Raises OSError when the file cannot be made.
    """
    descriptor = _open(path)
    try:
        if not _take(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if on_wait is not None:
                on_wait(_holder(descriptor))
            # Not a flock that blocks: a signal that the kernel hands to another thread would not be heard before the lock is free.
            while not _take(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
                time.sleep(_POLL_S)
        _sign(descriptor)
        yield
    finally:
        _release(descriptor)


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock `path` if nobody does; yields whether it was free."""
    descriptor = _open(path)
    try:
        free = _take(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if free:
            _sign(descriptor)
        yield free
    finally:
        _release(descriptor)


def holder_of(path: Path) -> str | None:
    """Who holds the lock `path` and since when, as `locked` tells it; None when nobody does. Makes no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _take(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB) else _holder(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    _held.add(descriptor)
    return descriptor


def _release(descriptor: int) -> None:
    if descriptor in _held:  # else this is a forked child, which has closed it already
        _held.discard(descriptor)
        os.close(descriptor)


def _take(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    since = datetime.fromtimestamp(os.fstat(descriptor).st_mtime)
    return f"process {pid}, since {since:%Y-%m-%d %H:%M:%S}," if pid else "another process"  # which has not signed yet


def _sign(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
