"""What runs the shards of a stage's work: processes of this machine, unless a flow brings another engine (`flows/engines.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from r1vl_core.config import Runtime
from r1vl_core.data.shards import MapShards, Processes

Engine = Callable[[Runtime], AbstractContextManager[MapShards]]
"""Starts workers for the time of a `with`; never a reason for another result."""


@contextmanager
def processes(runtime: Runtime) -> Iterator[MapShards]:
    """`runtime.num_workers` processes of this machine."""
    with Processes(runtime.num_workers) as pool:
        yield pool.map
