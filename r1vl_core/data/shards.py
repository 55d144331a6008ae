"""Work cut into shards: one function over many of them, results in their order, in processes of this machine or wherever an engine runs.

A computation takes a `MapShards` and knows no more. What comes back never depends on which engine it is, or on how many workers.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Protocol, TypeVar

S = TypeVar("S")
R = TypeVar("R")

_PR_SET_PDEATHSIG = 1
_AHEAD = 3
"""Shards a worker has before it, the one it works on included: what is read ahead, and held in memory."""


class MapShards(Protocol):
    """`map_shards(function, shards)` gives the results in the order of the shards.

    `function` must pickle (a module's own, or a `functools.partial` of one), depend on its shard alone and change nothing. The first
    exception it raises comes out where its result would have; shards after it may have been computed in vain.
    """

    def __call__(self, function: Callable[[S], R], shards: Iterable[S], /) -> Iterator[R]:
        """The results, as they are asked for; `shards` is read a little ahead."""
        ...


class Processes:
    """Maps shards in a pool of `num_workers` processes (in this process when there is one); a context manager.

    The pool starts with the second shard: its start costs about a second.

    >>> with Processes(1) as processes:
    ...     list(processes.map(len, ["one", "three"]))
    [3, 5]
    """

    def __init__(self, num_workers: int) -> None:
        self._num_workers = num_workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def map(self, function: Callable[[S], R], shards: Iterable[S], /) -> Iterator[R]:
        """See `MapShards`. Raises OSError when a worker is ended from outside (out of memory)."""
        iterator = iter(shards)
        first = list(islice(iterator, 2))
        if self._num_workers == 1 or len(first) < 2:
            yield from map(function, first)
            yield from map(function, iterator)
            return
        pool = self._start()
        waiting: deque[Future[R]] = deque()
        try:
            waiting.extend(pool.submit(function, shard) for shard in first)
            for shard in iterator:
                waiting.append(pool.submit(function, shard))
                if len(waiting) >= _AHEAD * self._num_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise OSError("a worker process was ended from outside; give it more memory, or use fewer of them (R1VL_NUM_WORKERS)") from None
        finally:
            for future in waiting:
                future.cancel()

    def _start(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Not fork: the caller may hold threads and locks of other libraries.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._num_workers, mp_context=context, initializer=_die_with, initargs=(os.getpid(),))
        return self._pool


def cut(items: Sequence[S], size: int) -> Iterator[Sequence[S]]:
    """Runs of `size` items, the last perhaps shorter.

    >>> list(cut([1, 2, 3], 2))
    [[1, 2], [3]]
    """
    return (items[start : start + size] for start in range(0, len(items), size))


def _die_with(parent: int) -> None:
    """In a worker: end when the parent does, however it ends; a pool's workers outlive a parent that was killed (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was gone before we asked
            os._exit(1)
