"""When a run has collapsed, and which step's policy it hands on."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from r1vl_core.config import StepGRPO

OUTCOME = "outcome.json"
"""In a run's folder, where its policy is not simply that of the last step: which it is, and why."""

logger = logging.getLogger(__name__)


def has_limits(settings: StepGRPO) -> bool:
    """Whether anything can end the run early."""
    return settings.max_kl > 0 or settings.min_reward > 0


def note_step(notes: dict[str, Any], step: int, metrics: Mapping[str, float], settings: StepGRPO) -> None:
    """Hold a step's KL and reward against the limits; `notes["stopped_early"]` is the reason once their mean is beyond one.

    A step's metrics are those of the policy before its update, hence of the checkpoint saved after the step before, if there is one:
    `notes["good_step"]` is the last checkpoint whose own values were within the limits.
    """
    recent = [*notes.get("recent", []), [metrics["kl"], metrics["reward"]]][-settings.stop_window :]
    notes["recent"] = recent
    if not _beyond(settings, *recent[-1]) and notes.get("saved_step", 0) == step - 1:
        notes["good_step"] = step - 1
    if len(recent) == settings.stop_window and (reason := _beyond(settings, *map(fmean, zip(*recent, strict=True)))):
        notes["stopped_early"] = f"step {step}: {reason}, over the last {len(recent)} steps"


def _beyond(settings: StepGRPO, kl: float, reward: float) -> str:
    # Not "above": what is no number is within no limit.
    if settings.max_kl and not kl <= settings.max_kl:
        return f"a KL of {kl:.3g} nats, above stepgrpo.max_kl {settings.max_kl:g}"
    if not reward >= settings.min_reward:
        return f"a reward of {reward:.3g}, below stepgrpo.min_reward {settings.min_reward:g}"
    return ""


def step_handed_on(notes: Mapping[str, Any], settings: StepGRPO) -> int | None:
    """The step whose policy a finished run hands on; None for the last one."""
    if settings.keep == "best" and "best_step" in notes:
        return int(notes["best_step"])
    return int(notes["good_step"]) if "stopped_early" in notes else None


def write_outcome(folder: Path, notes: Mapping[str, Any], step: int) -> None:
    """Record which step's policy is handed on, its validation accuracy where it is the best, and why the run ended early if it did."""
    best = notes.get("best_accuracy") if notes.get("best_step") == step else None
    table = {"policy_step": step, "validation_accuracy": best, "stopped_early": notes.get("stopped_early")}
    partial = folder / f".{OUTCOME}"
    partial.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / OUTCOME)


def say_so(notes: Mapping[str, Any], step: int | None) -> None:
    """The messages about a run that ended early, and about one that made nothing better than what it began with."""
    if "stopped_early" in notes:
        logger.warning("training stopped early at %s; the policy of step %s is handed on", notes["stopped_early"], step)
    if notes.get("best_step") == step == 0:
        logger.warning(
            "no step's policy was right on more of the validation questions than the one training began with (%.1f %%), which is handed on",
            100 * notes["best_accuracy"],
        )
    elif notes.get("best_step") == step:
        share = 100 * notes["best_accuracy"]
        logger.info("the policy of step %s is handed on, the best: right on %.1f %% of the validation questions", step, share)
