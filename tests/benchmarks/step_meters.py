"""What the step benchmarks measure within a process."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import torch

from r1vl_core.policy.model import Policy
from tests.benchmarks.step_models import DEVICE


@dataclasses.dataclass
class Meter:
    """Wall and CPU seconds between calls of `lap`, and memory above what the process held before its first step."""

    marks: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    before: float = 0.0

    def start(self) -> None:
        """Forget the peak so far."""
        if DEVICE == "cuda":
            torch.cuda.reset_peak_memory_stats()
        else:
            Path("/proc/self/clear_refs").write_text("5")
        self.before = torch.cuda.memory_allocated() / 2**20 if DEVICE == "cuda" else memory("VmRSS")
        self.lap()

    def lap(self) -> None:
        """A step is over."""
        wait()
        self.marks.append((time.perf_counter(), time.process_time()))

    def read(self) -> dict[str, Any]:
        """Seconds of each step but the first, and peak memory in MB."""
        steps = [(w2 - w1, c2 - c1) for (w1, c1), (w2, c2) in zip(self.marks[1:], self.marks[2:], strict=False)]
        wall, cpu = zip(*steps, strict=True)
        peak = torch.cuda.max_memory_allocated() / 2**20 if DEVICE == "cuda" else memory("VmHWM")
        return {"wall": wall, "cpu": cpu, "peak_mb": peak, "above_mb": peak - self.before}


@dataclasses.dataclass
class Prefills:
    """Seconds that a policy's prompts took to read, pictures included, one entry a step."""

    seconds: list[float] = dataclasses.field(default_factory=lambda: [0.0])
    _started: float = 0.0

    def watch(self, policy: Policy) -> None:
        """From now on."""
        policy.model.model.register_forward_pre_hook(self._before, with_kwargs=True)
        policy.model.model.register_forward_hook(self._after, with_kwargs=True)

    def _before(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        if is_prefill(kwargs):
            wait()
            self._started = time.perf_counter()

    def _after(self, module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        if is_prefill(kwargs):
            wait()
            self.seconds[-1] += time.perf_counter() - self._started


def is_prefill(kwargs: dict[str, Any]) -> bool:
    """Whether a forward reads prompts into a cache."""
    return kwargs.get("past_key_values") is not None and kwargs["input_ids"].shape[1] > 1


def wait() -> None:
    """Until the device has done what it was given."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def memory(field: str) -> float:
    """A field of this process's status, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise KeyError(field)
