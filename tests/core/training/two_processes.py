"""Two gloo processes on one machine, as `accelerate launch` would start them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator

from r1vl_core.training.processes import leave


def in_two_processes(work: Callable[..., object], *args: object) -> None:
    """Call `work(*args, accelerator)` in both (a function of a module: it is pickled), and wait. Raises what either raised."""
    torch.multiprocessing.spawn(_one_of_two, args=(work, args, _free_port()), nprocs=2)


def _one_of_two(rank: int, work: Callable[..., object], args: tuple[Any, ...], port: int) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    work(*args, Accelerator(cpu=True))
    torch.distributed.destroy_process_group()
    leave(0)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
