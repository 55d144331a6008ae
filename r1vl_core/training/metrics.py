"""What is measured of a StepGRPO step, from its samples and the sums of its updates."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from r1vl_core.training.backward import Sums
from r1vl_core.training.sampling import Sampled


def summary(samples: Sequence[Sequence[dict[str, Any]]]) -> dict[str, float]:
    """Means over all paths sampled in a step, those of groups that were replaced included: what the policy does, not what was picked.

    `reward` is what the preset pays; `zero_variance` the share of groups in which every advantage is 0.
    """
    paths = [path for group in samples for path in group]
    return {
        "reward": fmean(path["paid"] for path in paths),
        "step_rar": fmean(path["step_rar"] for path in paths),
        "step_rvr": fmean(path["step_rvr"] for path in paths),
        "k": fmean(path["k"] for path in paths),
        "accuracy": fmean(path["verdict"] == "correct" for path in paths),
        "unjudged": fmean(path["verdict"] in ("timeout", "error") for path in paths),
        "zero_variance": fmean(not any(path["advantage"] or any(path["step_advantages"]) for path in group) for group in samples),
        "mean_tokens": fmean(path["num_tokens"] for path in paths),
        "truncated": fmean(path["truncated"] for path in paths),
        "tokens": float(sum(path["num_tokens"] for path in paths)),
    }


def counts(sampled: Sampled, num_used: int) -> dict[str, float]:
    """`groups_sampled`, refilled ones included; `groups_skipped` of them took no part in the update; `refill_rounds` were needed."""
    return {
        "groups_sampled": float(sampled.num_groups),
        "groups_skipped": float(sampled.num_groups - num_used),
        "refill_rounds": float(sampled.num_rounds - 1),
    }


def means(updates: Sequence[Sums]) -> dict[str, float]:
    """Loss and KL of the first update, and means over the tokens scored in it, where the policy still is the one that sampled.

    `kl` is in nats a token whatever the loss: a mean weighted as the loss weighs those tokens, over a path's and then over paths or over
    all at once. `entropy` is in nats; `logprob_gap` is the mean difference between a token's log-probability when drawn and when trained.
    With more than one update, `clip_low` and `clip_high` are the shares of tokens that lost their gradient in the later ones.
    """
    first, later = updates[0], updates[1:]
    num_tokens = max(1.0, first.num_tokens)
    found = {
        "loss": first.loss,
        "kl": first.kl / first.weight if first.weight else 0.0,
        "kl_clamped": first.num_clamped / num_tokens,
        "entropy": first.entropy / num_tokens,
        "logprob_gap": first.gap / num_tokens,
        "trained_tokens": first.num_tokens,
    }
    if later:
        num_later = max(1.0, sum(sums.num_tokens for sums in later))
        found["clip_low"] = sum(sums.num_clipped_low for sums in later) / num_later
        found["clip_high"] = sum(sums.num_clipped_high for sums in later) / num_later
    return found
