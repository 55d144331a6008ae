"""What a training loop yields: one report a step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Report:
    """The state of a training run after one optimiser step.

    `step` counts from 1 to `num_steps`; `metrics` are plain numbers by name; `samples` are rows worth keeping
    (StepGRPO: one a rollout), empty where there is nothing to look at.

    >>> Report(step=1, num_steps=40, metrics={"loss": 0.5}).metrics["loss"]
    0.5
    """

    step: int
    num_steps: int
    metrics: dict[str, float]
    samples: tuple[dict[str, Any], ...] = field(default=())
