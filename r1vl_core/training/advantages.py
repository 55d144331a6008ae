"""From the rewards of a group to the advantages of its paths: what each earned beyond the others.

Every function takes the M rewards of one group and gives M advantages, in fp64. Equal rewards give exactly 0: rounding in a mean and a
standard deviation would otherwise make advantages out of nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, stdev

EPSILON = 1e-4
"""Added to the standard deviation, as in the paper's code; the paper itself names none."""

Advantage = Callable[[Sequence[float]], list[float]]


def grpo(rewards: Sequence[float]) -> list[float]:
    """(r_i - mean) / (std + EPSILON), with the sample standard deviation (paper, equation 4).

    >>> grpo([0.9] * 8)
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    >>> [round(advantage, 3) for advantage in grpo([0.0, 1.0])]
    [-0.707, 0.707]
    """
    if _are_equal(rewards):
        return [0.0] * len(rewards)
    mean, scale = fmean(rewards), stdev(rewards) + EPSILON
    return [(reward - mean) / scale for reward in rewards]


def dr_grpo(rewards: Sequence[float]) -> list[float]:
    """r_i - mean: a group of almost equal rewards is not blown up (Dr. GRPO, arXiv 2503.20783, which also divides by a constant length).

    >>> dr_grpo([0.0, 1.0, 2.0])
    [-1.0, 0.0, 1.0]
    """
    if _are_equal(rewards):
        return [0.0] * len(rewards)
    mean = fmean(rewards)
    return [reward - mean for reward in rewards]


def rloo(rewards: Sequence[float]) -> list[float]:
    """r_i - the mean of the other rewards, an unbiased baseline (RLOO, arXiv 2402.14740).

    >>> rloo([0.0, 1.0, 2.0])
    [-1.5, 0.0, 1.5]
    """
    if _are_equal(rewards):
        return [0.0] * len(rewards)
    num_others = len(rewards) - 1
    return [reward - fmean([*rewards[:place], *rewards[place + 1 :]]) if num_others else 0.0 for place, reward in enumerate(rewards)]


def _are_equal(rewards: Sequence[float]) -> bool:
    return max(rewards) == min(rewards)


ADVANTAGES: dict[str, Advantage] = {"grpo": grpo, "dr_grpo": dr_grpo, "rloo": rloo}
"""By the setting `stepgrpo.advantage`."""
