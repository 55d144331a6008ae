"""Symbolic equality as the last resort, in worker processes with a hard time limit.

A worker that runs over its limit of CPU time is ended and replaced. Everything works off the main thread, inside a training process
(workers are started by exec, never by fork alone) and under fork (a child forgets its parent's workers). Workers start on the first
question that needs one, and end with their parent, whichever way it ends.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

Outcome = Literal["equal", "different", "timeout", "error"]
Failure = Literal["timeout", "error"]

LIMIT_S = 2.0
"""Seconds of CPU time one comparison may take: the same verdict on a busy machine as on an idle one."""
PATIENCE = 4.0
"""Wall-clock time after which a comparison is given up whatever CPU time it got, as a multiple of its limit."""
START_LIMIT_S = 60.0
"""Seconds a worker may take to import its libraries; not part of a comparison's limit."""
NUM_WORKERS = 2
"""Workers at most; each holds about 90 MB once started."""
_MAX_FAILED_STARTS = 3


@dataclass
class SymbolicPool:
    """Workers that compare LaTeX expressions. `counts` holds how many comparisons ended in which outcome."""

    limit_s: float = LIMIT_S
    num_workers: int = NUM_WORKERS
    counts: Counter[str] = field(default_factory=Counter)
    num_replaced: int = 0
    _idle: list[_Worker] = field(default_factory=list)
    _all: set[_Worker] = field(default_factory=set)
    _failed_starts: int = 0
    _free: threading.BoundedSemaphore = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._free = threading.BoundedSemaphore(self.num_workers)

    def compare(self, answer: str, gold: str) -> Outcome:
        """Compare two expressions; waits for a free worker. Never raises for any text."""
        reply = self.ask({"task": "equal", "answer": answer, "gold": gold})
        outcome: Outcome = reply if isinstance(reply, str) else "equal" if reply["equal"] else "different"
        with self._lock:
            self.counts[outcome] += 1
        return outcome

    def ask(self, request: dict[str, Any]) -> dict[str, Any] | Failure:
        """A worker's reply to any request (see `symbolic_worker`), or how it failed; waits for a free worker."""
        with self._free:
            worker = self._take()
            if worker is None:
                return "error"
            reply = worker.ask(request, self.limit_s)
            self._give(worker, keep=not isinstance(reply, str))
        return reply

    def close(self) -> None:
        """End every idle worker and wait for it; a later comparison starts new ones."""
        with self._lock:
            workers, self._idle = self._idle, []
            self._all.difference_update(workers)
        for worker in workers:
            worker.end()

    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers alive."""
        with self._lock:
            return tuple(worker.process.pid for worker in self._all)

    def _take(self) -> _Worker | None:
        with self._lock:
            worker = self._idle.pop() if self._idle else None
            if worker is None and self._failed_starts >= _MAX_FAILED_STARTS:
                return None  # without its libraries no worker will ever start: say so at once instead of trying for every answer
        worker = worker or self._start()
        if worker is not None and not worker.is_ready():
            worker.end()
            with self._lock:
                self._all.discard(worker)
            worker = None
        with self._lock:
            self._failed_starts = 0 if worker else self._failed_starts + 1
        return worker

    def _give(self, worker: _Worker, *, keep: bool) -> None:
        if keep:
            with self._lock:
                self._idle.append(worker)
            return
        worker.end()
        with self._lock:
            self._all.discard(worker)
            self.num_replaced += 1
        successor = self._start()  # it imports its libraries while we go on
        if successor is not None:
            with self._lock:
                self._idle.append(successor)

    def _start(self) -> _Worker | None:
        """A worker just started, or None when this machine cannot start one."""
        try:
            worker = _Worker()
        except OSError:
            return None
        with self._lock:
            self._all.add(worker)
        return worker


class _Worker:
    """One worker process and the pipe to it."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("symbolic_worker.py")
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        self.unread = b""
        self.ready = False

    def is_ready(self) -> bool:
        """Has it imported its libraries? Waits for that; False when it ended or takes too long."""
        self.ready = self.ready or self.receive(START_LIMIT_S) is not None
        return self.ready

    def ask(self, request: dict[str, Any], limit_s: float) -> dict[str, Any] | Failure:
        assert self.process.stdin is not None
        line = json.dumps({**request, "limit_s": limit_s, "patience_s": PATIENCE * limit_s})
        try:
            self.process.stdin.write(line.encode("ascii") + b"\n")
        except OSError:  # it died while idle
            return "error"
        deadline = time.monotonic() + PATIENCE * limit_s
        reply = self.receive(deadline - time.monotonic())
        if reply is not None:
            return reply
        self.process.kill()  # nothing for a worker that ended by its own alarm: its exit status stays
        alarm = self.process.wait() in (-signal.SIGPROF, -signal.SIGALRM)
        return "timeout" if alarm or time.monotonic() >= deadline else "error"

    def receive(self, limit_s: float) -> dict[str, Any] | None:
        """The next reply, or None when the limit passes or the worker has ended."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + limit_s
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.unread:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    return None
                chunk = os.read(self.process.stdout.fileno(), 65536)
                if not chunk:
                    return None
                self.unread += chunk
        line, _, self.unread = self.unread.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def end(self) -> None:
        """Kill and reap: no zombie stays."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


_pool: SymbolicPool | None = None
_pool_lock = threading.Lock()


def pool() -> SymbolicPool:
    """This process's pool, made when first asked for."""
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = SymbolicPool()
            atexit.register(_pool.close)
        return _pool


def _forget_pool() -> None:
    """In a forked child: the workers belong to the parent, and the locks may have been held by threads that are not here."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_pool)


def symbolically_equal(answer: str, gold: str) -> Outcome:
    """Are two LaTeX expressions equal? Decided pairs are remembered, failures are tried again.

    >>> symbolically_equal("2 \\\\sqrt{2}", "\\\\sqrt{8}")
    'equal'
    """
    try:
        return _decided(answer, gold)
    except _UndecidedError as undecided:
        return undecided.outcome


@dataclass(frozen=True, slots=True)
class Printed:
    """Two LaTeX expressions as sympy prints them, None for one it cannot read, and whether it finds them less than 1e-6 apart.

    >>> Printed("1/2", "0.5", True).close
    True
    """

    answer: str | None
    gold: str | None
    close: bool


def printed(answer: str, gold: str) -> Printed | Failure:
    """What latex2sympy2_extended makes of two LaTeX texts; nothing is evaluated. Never raises for any text.

    >>> printed("\\\\boxed{32}", "\\\\frac{64}{2}")
    Printed(answer='32', gold='32', close=True)
    """
    reply = pool().ask({"task": "print", "answer": answer, "gold": gold})
    return reply if isinstance(reply, str) else Printed(reply["answer"], reply["gold"], reply["close"])


class _UndecidedError(Exception):
    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@lru_cache(maxsize=4096)
def _decided(answer: str, gold: str) -> Outcome:
    outcome = pool().compare(f"${answer}$", f"${gold}$")
    if outcome not in ("equal", "different"):
        raise _UndecidedError(outcome)  # an exception is not cached
    return outcome
