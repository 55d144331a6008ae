"""What the processes of one training run tell each other. Every function takes the run's `Accelerator`, or None for one process."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

import torch

from r1vl_core.policy.sharding import is_sharded

T = TypeVar("T")


def num_processes(accelerator: Any) -> int:
    """Processes in this run."""
    return 1 if accelerator is None else int(accelerator.num_processes)


def is_first(accelerator: Any) -> bool:
    """Whether this process is the one that writes."""
    return accelerator is None or bool(accelerator.is_main_process)


def my_share(items: Sequence[T], accelerator: Any) -> list[T]:
    """This process's part of a step's items, dealt out in turn; parts may differ by one item or be empty."""
    if accelerator is None:
        return list(items)
    return list(items[accelerator.process_index :: accelerator.num_processes])


def sum_over_processes(values: Sequence[float], accelerator: Any) -> list[float]:
    """Each value summed over all processes, in fp64."""
    if num_processes(accelerator) == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64, device=accelerator.device)
    return list(accelerator.reduce(tensor, reduction="sum").tolist())


def any_process(value: bool, accelerator: Any) -> bool:
    """Whether the value is true anywhere, so that all processes stop at the same step."""
    return sum_over_processes([float(value)], accelerator)[0] > 0


def gather_lists(items: Sequence[T], accelerator: Any) -> list[T]:
    """All processes' items, dealt back into the order `my_share` took them from."""
    if num_processes(accelerator) == 1:
        return list(items)
    gathered: list[Any] = [None] * accelerator.num_processes
    torch.distributed.all_gather_object(gathered, list(items))
    longest = max(len(part) for part in gathered)
    return [part[place] for place in range(longest) for part in gathered if place < len(part)]


def missing(count: int, model: torch.nn.Module, accelerator: Any) -> int:
    """By how many forwards this process is short of the one with most: a sharded model runs on all processes together."""
    return max(gather_lists([count], accelerator)) - count if is_sharded(model) else 0


def wait_for_all(accelerator: Any) -> None:
    """Return when every process has come here."""
    if num_processes(accelerator) > 1:
        accelerator.wait_for_everyone()


def leave(status: int) -> NoReturn:
    """End this process with an exit status: what was registered for the exit is done, the interpreter is not taken down.

    FSDP still holds its process groups by then. Now and then (3 of 27 runs on two busy cores) one of gloo's threads was alive when they
    were destroyed, and C++ aborted a training that was done and saved.
    """
    atexit._run_exitfuncs()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)
