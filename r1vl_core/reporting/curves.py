"""Which metrics the page draws, in which charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Curve:
    """A chart: title, what is measured, the metrics drawn together with a word for each, and the least difference worth its height.

    Values that differ by less than `least` are drawn as the flat line they are.

    >>> Curve("KL to the warm-up policy", "nats a token", {"kl": "KL"}, 0.001).least
    0.001
    """

    title: str
    note: str
    metrics: Mapping[str, str]
    least: float = 0.0


STEPGRPO_CURVES = (
    Curve("Reward", "what the preset pays, mean a path", {"reward": "reward"}, 0.05),
    Curve("StepRAR", "answer, plus alpha times k", {"step_rar": "StepRAR"}, 0.05),
    Curve("StepRVR", "share complete and in order", {"step_rvr": "StepRVR"}, 0.05),
    Curve("Right answers", "share of sampled paths", {"accuracy": "right"}, 0.05),
    Curve("Right answers in validation", "share of the questions set aside", {"validation_accuracy": "right"}, 0.05),
    Curve("Key steps matched", "k, mean a path", {"k": "k"}, 0.05),
    Curve("Image gain", "nats a token; 0: pictures are not seen", {"image_gain": "image gain"}, 0.05),
    Curve("KL to the warm-up policy", "nats a token", {"kl": "KL"}, 0.001),
    Curve("Entropy", "nats a token", {"entropy": "entropy"}, 0.01),
    Curve("Path length", "tokens, mean a path", {"mean_tokens": "tokens"}, 2),
    Curve("Clipped tokens", "share of the later updates' tokens", {"clip_low": "ratio too low", "clip_high": "ratio too high"}, 0.01),
    Curve("Groups that teach nothing", "share with equal rewards", {"zero_variance": "equal rewards"}, 0.1),
    Curve("Groups sampled", "refilled ones included", {"groups_sampled": "sampled", "groups_skipped": "left out of the update"}, 2),
    Curve("Truncated paths", "share that never ended", {"truncated": "truncated"}, 0.05),
    Curve("Gradient norm", "before clipping", {"grad_norm": "norm"}),
    Curve("Time a step", "seconds", {"seconds": "seconds"}),
)
"""StepGRPO's charts."""

WARMUP_CURVES = (
    Curve("Loss", "nats a token of the reference paths", {"loss": "loss"}, 0.01),
    Curve("Token accuracy", "share of tokens predicted", {"token_accuracy": "predicted"}, 0.02),
    Curve("Learning rate", "", {"learning_rate": "rate"}),
)
"""The warm-up's charts."""
