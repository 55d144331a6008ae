"""What a training loop yields: one report a step."""

from __future__ import annotations

from collections.abc import Mapping
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


MEASURED = ("seconds", "per_second", "memory", "utilisation")
"""Words in the names of metrics that tell of the machine and not of the training: no two runs share their values."""


def repeatable(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that two equal runs have in common.

    >>> repeatable({"loss": 0.5, "seconds_rollout": 1.2, "peak_memory_mb": 900.0})
    {'loss': 0.5}
    """
    return {name: value for name, value in metrics.items() if not any(word in name for word in MEASURED)}
