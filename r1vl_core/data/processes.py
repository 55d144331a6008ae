"""Work handed to processes, and its results in the order of the work."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1


def ordered_map(function: Callable[[Task], Result], tasks: Iterable[Task], num_workers: int) -> Iterator[Result]:
    """`function` of every task, in the tasks' order; at most three results a worker wait in memory.

    With one worker everything happens in this process. Raises OSError when a worker is ended from outside (out of memory).
    """
    if num_workers == 1:
        yield from map(function, tasks)
        return
    # Not fork: the caller may hold threads and locks of other libraries.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, mp_context=context, initializer=_die_with, initargs=(os.getpid(),)) as pool:
        waiting: deque[Future[Result]] = deque()
        iterator = iter(tasks)
        try:
            waiting.extend(pool.submit(function, task) for task in islice(iterator, 3 * num_workers))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, task) for task in islice(iterator, 1))
                yield result
        except BrokenProcessPool:
            raise OSError("a worker process was ended from outside; give it more memory, or use fewer workers (num_workers)") from None
        finally:
            pool.shutdown(cancel_futures=True)


def _die_with(parent: int) -> None:
    """In a worker: end when the parent does, however it ends; a pool's workers outlive a parent that was killed (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was gone before we asked
            os._exit(1)
