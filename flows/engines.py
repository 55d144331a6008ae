"""Engines that need Prefect: shards of a stage's work on a Ray cluster, through Prefect's task runner for Ray.

A shard is a Prefect task: its run stands below the flow's, with its log and its time. It travels as bytes, so that Prefect does not
search thousands of records for futures to wait for.
"""

from __future__ import annotations

import os
import pickle
import secrets
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

from r1vl_core.config import Runtime
from r1vl_core.data.shards import MapShards
from tasks.shards import Engine, processes

S = TypeVar("S")
R = TypeVar("R")

_REACHED_S = 10.0
_AHEAD = 3
"""Shards a processor of the cluster has before it."""


def engine_of(runtime: Runtime) -> Engine:
    """The engine that the runtime names."""
    return _ray if runtime.engine == "ray" else processes


@contextmanager
def _ray(runtime: Runtime) -> Iterator[MapShards]:
    """A Ray cluster for the time of a `with`: the one at `runtime.ray_address`, or one of this machine's processes.

    Raises ValueError where Ray is not installed or the cluster cannot be reached.
    """
    settings = _settings(runtime)
    check_address(runtime.ray_address)
    try:
        import ray  # which reads its variables now
        from prefect_ray import RayTaskRunner
    except ImportError:
        raise ValueError("R1VL_ENGINE is ray, which is not installed here; pip install 'r1vl[ray]', or leave the variable out") from None
    try:
        runner = RayTaskRunner(runtime.ray_address or None, init_kwargs=settings).__enter__()
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError) as error:
        raise ValueError(f"Ray at {runtime.ray_address or 'this machine'}: {_plain(error)}") from error
    try:
        yield partial(_map, runner, _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1))))
    except ray.exceptions.RayError as error:
        raise OSError(f"Ray lost a shard: {_plain(error)}; run again when the cluster is well") from error
    finally:
        runner.__exit__(None, None, None)


def check_address(address: str) -> None:
    """Raises ValueError where nothing listens at a cluster's address; Ray itself would try for two minutes, and then end this process."""
    place = urlsplit(address if "://" in address else f"ray://{address}")
    try:
        if place.hostname and place.port:
            socket.create_connection((place.hostname, place.port), _REACHED_S).close()
    except (OSError, ValueError) as error:  # ValueError: a port that is none
        told = getattr(error, "strerror", None) or error
        raise ValueError(f"R1VL_RAY_ADDRESS={address}: {told}; is the cluster up, and is this HOST:6379 or ray://HOST:10001?") from None


def _settings(runtime: Runtime) -> dict[str, Any]:
    """How to begin: on a cluster as it is, on this machine with our number of processes, heard by nobody else."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if runtime.ray_address:
        return {"log_to_driver": False}
    if "RAY_AUTH_MODE" not in os.environ:  # else Ray would write a token into the user's home
        os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)})
    # "local": Ray's own variable must not lead elsewhere than the runtime says
    where = {"address": "local", "_node_ip_address": "127.0.0.1", "include_dashboard": False}
    return {"log_to_driver": False, "num_cpus": runtime.num_workers, **where}


def _map(runner: Any, num_ahead: int, function: Callable[[S], R], shards: Iterable[S]) -> Iterator[R]:
    waiting: deque[Any] = deque()
    flow = FlowRunContext.get()
    with ThreadPoolExecutor(1, initializer=_enter, initargs=(flow,)) as below_the_flow:
        for shard in shards:
            work = pickle.dumps((function, shard))
            waiting.append(below_the_flow.submit(runner.submit, _compute, {"work": work}).result())
            if len(waiting) >= num_ahead:
                yield pickle.loads(waiting.popleft().result())
        while waiting:
            yield pickle.loads(waiting.popleft().result())


def _enter(flow: FlowRunContext | None) -> None:
    """In a thread of its own: be in the flow's run, but not in the task that is the stage, which would travel along and cannot (it holds
    locks and open connections)."""
    if flow is not None:
        flow.model_copy().__enter__()


def _plain(error: Exception) -> str:
    return f"{' '.join(str(error).split()):.300}"


@task(name="shard", cache_policy=NO_CACHE, retries=0, persist_result=False)
def _compute(work: bytes) -> bytes:
    function, shard = pickle.loads(work)
    return pickle.dumps(function(shard))
