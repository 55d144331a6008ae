"""From the rewards of a group to the advantages of its paths."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

EPSILON = 1e-4
"""Added to the standard deviation, as in the paper's code; the paper itself names none."""


def group_advantages(rewards: Sequence[float]) -> list[float]:
    """A_i = (r_i - mean) / (std + EPSILON) over one group (paper, equation 4; sample standard deviation, fp64).

    Equal rewards give exactly 0: rounding in mean and std would otherwise make advantages out of nothing.

    >>> group_advantages([0.9] * 8)
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    >>> [round(advantage, 3) for advantage in group_advantages([0.0, 1.0])]
    [-0.707, 0.707]
    """
    if max(rewards) == min(rewards):
        return [0.0] * len(rewards)
    mean, scale = fmean(rewards), stdev(rewards) + EPSILON
    return [(reward - mean) / scale for reward in rewards]
