"""The learning rate over a run: it rises, then goes its way."""

from __future__ import annotations

import math

from r1vl_core.config import Schedule


def share_of_peak(schedule: Schedule, step: int, num_steps: int, warmup_ratio: float) -> float:
    """Share of the peak learning rate at `step` (from 0): a linear rise over that share of the steps, then as `schedule` says; cosine and
    linear come to 0 after the last step.

    >>> [round(share_of_peak("cosine", step, 4, 0.25), 2) for step in range(4)]
    [1.0, 1.0, 0.75, 0.25]
    >>> [share_of_peak("linear", step, 4, 0.0) for step in range(4)]
    [1.0, 0.75, 0.5, 0.25]
    >>> [share_of_peak("constant", step, 4, 0.5) for step in range(4)]
    [0.5, 1.0, 1.0, 1.0]
    """
    num_rising = math.ceil(num_steps * warmup_ratio)
    if step < num_rising:
        return (step + 1) / num_rising
    if schedule == "constant":
        return 1.0
    taken, still = step - num_rising, num_steps - num_rising
    return 1 - taken / still if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * taken / still))
