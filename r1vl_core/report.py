"""What a training loop yields: one report a step; and what to say of steps that taught nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
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


STALL_STEPS = 3
"""Steps running without anything to learn from that are worth a word; one or two happen."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Steps `first` to `last`, in which the paths of every group earned the same, so that no advantage was other than 0.

    >>> str(Stall(4, 9, "no path is right: warm up longer")).startswith("steps 4 to 9: in every group all paths earned the same")
    True
    """

    first: int
    last: int
    cause: str

    def __str__(self) -> str:
        return (
            f"steps {self.first} to {self.last}: in every group all paths earned the same, so there was nothing to learn from; "
            f"likely because {self.cause}"
        )


def stalls(reports: Iterable[Report]) -> Iterator[Stall]:
    """Every stretch of at least `STALL_STEPS` steps of StepGRPO in which no group taught anything."""
    stretch: list[Report] = []
    for report in reports:
        if _teaches_nothing(report):
            stretch.append(report)
            continue
        yield from _stall(stretch)
        stretch = []
    yield from _stall(stretch)


def warn_of_stalls(reports: Iterable[Report], warn: Callable[[str], object]) -> Iterator[Report]:
    """The reports as they come; a warning when a stall has become one, once a stall."""
    stretch: list[Report] = []
    for report in reports:
        yield report
        stretch = [*stretch, report] if _teaches_nothing(report) else []
        if len(stretch) == STALL_STEPS:
            (stall,) = _stall(stretch)
            warn(str(stall))


def _stall(stretch: Sequence[Report]) -> Iterator[Stall]:
    if len(stretch) >= STALL_STEPS:
        yield Stall(stretch[0].step, stretch[-1].step, _likely_cause(stretch))


def _teaches_nothing(report: Report) -> bool:
    return report.metrics.get("zero_variance", 0.0) >= 1


def _likely_cause(stretch: Sequence[Report]) -> str:
    truncated, unjudged, right = (fmean(report.metrics[name] for report in stretch) for name in ("truncated", "unjudged", "accuracy"))
    if truncated > 0.5:
        return "most paths are cut off before their answer: raise stepgrpo.max_new_tokens, or warm up longer"
    if unjudged > 0.5:
        return "most answers could not be judged: look at the verdicts of the sampled paths"
    if right > 0.99:
        return "every path is right: use harder questions, or end training earlier"
    if right < 0.01:
        return "no path is right: warm up longer, use easier questions, or look whether the gold answers are what is asked for"
    return "a question's paths are all alike: raise stepgrpo.temperature or stepgrpo.group_size"
