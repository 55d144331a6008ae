"""The loop around a training step: resume, record, save, stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from r1vl_core.report import Report
from r1vl_core.training.checkpoint import Checkpoints, State, append_report, cut_reports
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
    """Yield `take_step(step)` for every step still to do; save every `save_every` steps, at the end and when asked to stop."""
    first = checkpoints.restore(state) if checkpoints else 0
    if checkpoints and is_first(accelerator):
        checkpoints.folder.mkdir(parents=True, exist_ok=True)
        cut_reports(checkpoints.folder, first)
    wait_for_all(accelerator)
    for step in range(first, num_steps):
        report = take_step(step)
        stopping = any_process(should_stop(), accelerator)
        if checkpoints and is_first(accelerator):
            append_report(checkpoints.folder, report)
        if checkpoints and (stopping or (step + 1) % save_every == 0 or step + 1 == num_steps):
            checkpoints.save(step + 1, state, writes=is_first(accelerator))
        yield report
        if stopping:
            return
