"""The loop around a training step: resume, record, save, stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from r1vl_core.report import Report
from r1vl_core.training.checkpoint import Checkpoints, State, append_report, cut_reports, flush_reports
from r1vl_core.training.meters import MemoryMeter
from r1vl_core.training.processes import any_process, is_first, wait_for_all


def run_steps(
    take_step: Callable[[int], Report],
    num_steps: int,
    checkpoints: Checkpoints | None,
    save_every: int,
    state: State,
    accelerator: Any,
    should_stop: Callable[[], bool],
) -> Iterator[Report]:
    """Yield `take_step(step)` for every step still to do; save every `save_every` steps, at the end and when asked to stop.

    A step may note in `state.notes` that it is the best so far (`best_step`), which saves it too, or the last (`stopped_early`), past which
    no rerun goes. With a `good_step` noted from the start, the state before the first step is saved as well. Each report also has the peak
    memory of its step, in this process (`meters.MemoryMeter`).
    """
    torch.manual_seed(state.stream.seed)  # a new process has a random state of its own, which no checkpoint before the first one mends
    first = checkpoints.restore(state) if checkpoints else 0
    if checkpoints and is_first(accelerator):
        checkpoints.folder.mkdir(parents=True, exist_ok=True)
        cut_reports(checkpoints.folder, first)
    if checkpoints and state.notes.get("good_step") == 0 and checkpoints.newest() is None:
        checkpoints.save(0, state, writes=is_first(accelerator))
    wait_for_all(accelerator)
    memory = MemoryMeter(next(state.model.parameters()).device)
    for step in range(first, num_steps):
        if "stopped_early" in state.notes:
            return
        memory.start()
        report = take_step(step)
        report = replace(report, metrics={**report.metrics, "peak_memory_mb": memory.peak_mb()})
        stopping = any_process(should_stop(), accelerator)
        is_last = step + 1 == num_steps or "stopped_early" in state.notes
        saving = stopping or is_last or (step + 1) % save_every == 0 or state.notes.get("best_step") == step + 1
        if saving:
            state.notes["saved_step"] = step + 1
        if checkpoints and is_first(accelerator):
            append_report(checkpoints.folder, report)
            if saving:
                flush_reports(checkpoints.folder)
        if checkpoints and saving:
            checkpoints.save(step + 1, state, writes=is_first(accelerator))
        yield report
        if stopping:
            return
