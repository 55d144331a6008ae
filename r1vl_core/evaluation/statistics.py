"""How sure an accuracy is, and whether one policy is better than another on the same questions.

All functions are exact or closed-form and work on plain counts; `bootstrap` is for numbers that have no closed form.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy

_LONGEST_SUMS = 2 * 10**9
"""Additions that the exact test over clusters may take: a few seconds."""


class Interval(NamedTuple):
    """Both ends of a confidence interval, in the unit of the number it belongs to: fractions here (not percent).

    >>> Interval(0.25, 0.75).high
    0.75
    """

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Two policies on their common rows, as a 2x2 table with what follows from it.

    `difference` = accuracy of the second minus accuracy of the first, as a fraction, with its `interval`; `p_value` is McNemar's
    exact two-sided one. Rows that only one policy answered are left out and counted in `num_unpaired`.

    >>> compare_paired({"1": True, "2": False}, {"1": True, "2": True}).difference
    0.5
    """

    num_both: int
    num_first_only: int
    num_second_only: int
    num_neither: int
    num_unpaired: int
    difference: float
    interval: Interval
    p_value: float

    @property
    def num_common(self) -> int:
        """Rows that both policies answered."""
        return self.num_both + self.num_first_only + self.num_second_only + self.num_neither


def wilson_interval(num_correct: float, num_total: int, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a proportion (Wilson 1927, no continuity correction); (0, 1) when there is nothing to go by.

    `num_correct` may be a sum of fractions, such as each row's share of right responses: rows that are right or wrong scatter more
    than any others of the same mean, so that the interval is a cautious one then.

    Raises ValueError when the counts are no counts of a part and its whole, or the confidence is not between 0 and 1.
    """
    if not 0 <= num_correct <= num_total:
        raise ValueError(f"{num_correct} correct of {num_total}: the first must lie between 0 and the second")
    z = _normal_quantile(confidence)
    if num_total == 0:
        return Interval(0.0, 1.0)
    share = num_correct / num_total
    shrink = 1 + z * z / num_total
    centre = (share + z * z / (2 * num_total)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / num_total + z * z / (4 * num_total * num_total))
    # At the ends the closed form is 0 and 1 up to rounding; say so exactly.
    low = 0.0 if num_correct == 0 else max(0.0, centre - half)
    high = 1.0 if num_correct == num_total else min(1.0, centre + half)
    return Interval(low, high)


def mcnemar_p_value(num_first_only: int, num_second_only: int) -> float:
    """Exact two-sided p-value of McNemar's test: the rows on which two policies disagree against a fair coin.

    Raises ValueError for a negative count.
    """
    if min(num_first_only, num_second_only) < 0:
        raise ValueError(f"counts of disagreeing rows cannot be negative: {num_first_only}, {num_second_only}")
    num_discordant = num_first_only + num_second_only
    ways, tail = 1, 1
    for i in range(1, min(num_first_only, num_second_only) + 1):
        ways = ways * (num_discordant - i + 1) // i
        tail += ways
    # Whole numbers up to the last division: no rounding for any number of rows.
    return min(1.0, 2 * tail / 2**num_discordant)


def sign_flip_p_value(differences: Sequence[int]) -> float:
    """Exact two-sided p-value of a difference summed over clusters, against a fair coin for each cluster's sign.

    A cluster's difference is the rows that the second policy alone has right less those of the first, or any multiple of it. Rows of a
    cluster need not be independent of each other; where every cluster is one row this is McNemar's exact test. Of sums too long to go
    through, which takes many clusters of very unlike sizes, the normal limit.

    >>> sign_flip_p_value([1, 1, 1, -1]) == mcnemar_p_value(1, 3), sign_flip_p_value([3, -1])
    (True, 1.0)
    """
    unit = math.gcd(*differences) or 1
    sizes = [abs(difference) // unit for difference in differences if difference]
    total, observed = sum(sizes), abs(sum(differences)) // unit
    if len(sizes) * total > _LONGEST_SUMS:
        return math.erfc(observed / math.sqrt(2 * sum(size * size for size in sizes)))
    ways = numpy.zeros(total + 1)  # chance that the clusters of positive sign sum to each size
    ways[0] = 1.0
    for size in sizes:
        ways[size:] = (ways[size:] + ways[:-size]) / 2
        ways[:size] /= 2
    sums = 2 * numpy.arange(total + 1) - total
    return min(1.0, float(ways[numpy.abs(sums) >= observed].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for being several (Holm 1979): the chance of even one false claim among them stays below the level.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def compare_paired(first: Mapping[str, bool], second: Mapping[str, bool], confidence: float = 0.95) -> PairedComparison:
    """Compare two policies on the rows both answered; each mapping says for a row's index whether the policy was right.

    Raises ValueError when they have no row in common.
    """
    common = first.keys() & second.keys()
    if not common:
        raise ValueError("the two policies have no row in common; compare answers to the same benchmark file")
    both = sum(first[index] and second[index] for index in common)
    first_only = sum(first[index] and not second[index] for index in common)
    second_only = sum(second[index] and not first[index] for index in common)
    neither = len(common) - both - first_only - second_only
    return PairedComparison(
        num_both=both,
        num_first_only=first_only,
        num_second_only=second_only,
        num_neither=neither,
        num_unpaired=len(first) + len(second) - 2 * len(common),
        difference=(second_only - first_only) / len(common),
        interval=paired_difference_interval(both, first_only, second_only, neither, confidence),
        p_value=mcnemar_p_value(first_only, second_only),
    )


def paired_difference_interval(both: int, first_only: int, second_only: int, neither: int, confidence: float = 0.95) -> Interval:
    """Interval of the second policy's accuracy minus the first's: Newcombe's square-and-add from Wilson limits.

    Source: Newcombe, Statistics in Medicine 17 (1998) 2635-2650, method 10. Raises ValueError for an empty table.
    """
    total = both + first_only + second_only + neither
    if total == 0:
        raise ValueError("a difference needs at least one row that both policies answered")
    first, second = (both + first_only) / total, (both + second_only) / total
    of_first = wilson_interval(both + first_only, total, confidence)
    of_second = wilson_interval(both + second_only, total, confidence)
    correlation = _correlation(both, first_only, second_only, neither)
    below = _square_and_add(second - of_second.low, of_first.high - first, correlation)
    above = _square_and_add(of_second.high - second, first - of_first.low, correlation)
    difference = (second_only - first_only) / total
    return Interval(max(-1.0, difference - below), min(1.0, difference + above))


def _correlation(both: int, first_only: int, second_only: int, neither: int) -> float:
    margins = (both + first_only) * (second_only + neither) * (both + second_only) * (first_only + neither)
    if margins == 0:
        return 0.0
    cross: float = both * neither - first_only * second_only
    # Newcombe's continuity correction pulls a positive correlation towards 0 and leaves a negative one.
    if cross > 0:
        cross = max(0.0, cross - (both + first_only + second_only + neither) / 2)
    return cross / math.sqrt(margins)


def _square_and_add(first: float, second: float, correlation: float) -> float:
    return math.sqrt(max(0.0, first * first - 2 * correlation * first * second + second * second))


def _normal_quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}: give a fraction between 0 and 1, such as 0.95")
    return NormalDist().inv_cdf(0.5 + confidence / 2)
