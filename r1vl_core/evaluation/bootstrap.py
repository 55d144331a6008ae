"""How sure a number is when rows hang together: whole clusters are drawn anew, never single rows.

Ten variants of one seed question, or two questions about one picture, are not ten and two pieces of evidence. A number is a sum of
weighted shares, each the hits over the totals of all clusters; a resample draws as many clusters as there are, with replacement, within
each stratum. The seed is fixed: the same verdicts give the same interval.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy
from jaxtyping import Float, Int

from r1vl_core.evaluation.statistics import Interval, wilson_interval

NUM_RESAMPLES = 10_000
"""The ends of an interval move by about a fiftieth of its width between seeds."""

_PARTS = 100_000

Counts = Int[numpy.ndarray, "clusters shares"]
Samples = Float[numpy.ndarray, " resamples"]


@dataclass(frozen=True, slots=True)
class Stratum:
    """Clusters that are drawn from among each other: `hits` out of `totals` for each share, and what a share weighs in the number.

    >>> whole = Stratum(numpy.array([[2], [0]]), numpy.array([[2], [2]]), (100.0,))
    >>> value([whole])
    50.0
    """

    hits: Counts
    totals: Counts
    weights: tuple[float, ...]

    @property
    def num_clusters(self) -> int:
        """How many are drawn."""
        return len(self.hits)


def value(strata: Sequence[Stratum]) -> float:
    """The number itself."""
    return float(sum(_number(one.hits.sum(0), one.totals.sum(0), one.weights) for one in strata))


def bootstrap_interval(strata: Sequence[Stratum], confidence: float = 0.95, seed: int = 0) -> Interval | None:
    """Percentile interval of the number, in its own unit; None when a stratum has one cluster, or none: it says nothing then.

    Where all clusters fare alike, as where every row is right, no resample differs: the ends are Wilson's then, each cluster counted once.
    """
    if not strata or min(one.num_clusters for one in strata) < 2:
        return None
    if all(is_alike(one.hits, one.totals) for one in strata):
        return _where_alike(strata, confidence)
    return _percentiles(resampled(strata, seed), confidence)


def mean_interval(shares: Sequence[float], clusters: Sequence[Hashable], confidence: float = 0.95) -> Interval | None:
    """Interval of the mean of fractions, one a row, whole clusters drawn anew; to a hundred thousandth, and None as `bootstrap_interval`.

    >>> mean_interval([0.25, 0.75], ["a", "a"]) is None
    True
    """
    sums: dict[Hashable, list[int]] = {}
    for share, cluster in zip(shares, clusters, strict=True):
        found = sums.setdefault(cluster, [0, 0])
        found[0] += round(share * _PARTS)
        found[1] += _PARTS
    counts = numpy.array(list(sums.values()), dtype=numpy.int64)
    return bootstrap_interval([Stratum(counts[:, :1], counts[:, 1:], (1.0,))], confidence)


def bootstrap_difference(first: Sequence[Stratum], second: Sequence[Stratum], confidence: float = 0.95, seed: int = 0) -> Interval | None:
    """Percentile interval of the second number minus the first, the same clusters drawn for both; None as `bootstrap_interval`.

    The strata of both must hold the same clusters in the same order.
    """
    assert [one.totals.tolist() for one in first] == [one.totals.tolist() for one in second], "pairs need the same clusters on both sides"
    if not first or min(one.num_clusters for one in first) < 2:
        return None
    # Equal totals: the difference of two shares is the share of the difference.
    gained = [Stratum(after.hits - before.hits, after.totals, after.weights) for before, after in zip(first, second, strict=True)]
    return _percentiles(resampled(gained, seed), confidence)


def is_alike(hits: Counts, totals: Counts) -> bool:
    """Whether every cluster has the same share of hits: resamples do not differ then, which does not make a number certain."""
    return bool((hits * totals.sum(0) == hits.sum(0) * totals).all())


def resampled(strata: Sequence[Stratum], seed: int, num_resamples: int = NUM_RESAMPLES) -> Samples:
    """The number in every resample."""
    return sum((_resampled(one, (seed, place), num_resamples) for place, one in enumerate(strata)), numpy.zeros(num_resamples))


def _resampled(stratum: Stratum, seed: tuple[int, int], num_resamples: int) -> Samples:
    """Clusters that are alike need not be told apart: how often each kind is drawn is all that a resample is."""
    num_shares = len(stratum.weights)
    kinds, how_many = numpy.unique(numpy.hstack([stratum.hits, stratum.totals]), axis=0, return_counts=True)
    drawn = numpy.random.default_rng(seed).multinomial(stratum.num_clusters, how_many / stratum.num_clusters, size=num_resamples)
    sums = drawn @ kinds
    return _number(sums[:, :num_shares], sums[:, num_shares:], stratum.weights)


def _number(hits: numpy.ndarray, totals: numpy.ndarray, weights: tuple[float, ...]) -> numpy.ndarray:
    """Weighted sum of the shares along the last axis; a share of nothing is 0, as in the tables."""
    return (hits / numpy.maximum(totals, 1)) @ numpy.array(weights)


def _percentiles(samples: Samples, confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = numpy.quantile(samples, [tail, 1 - tail])
    return Interval(float(low), float(high))


def _where_alike(strata: Sequence[Stratum], confidence: float) -> Interval:
    whole = sum(sum(one.weights) for one in strata)
    num_clusters = sum(one.num_clusters for one in strata)
    num_right = round(num_clusters * value(strata) / whole, 9)
    low, high = wilson_interval(num_right, num_clusters, confidence)
    return Interval(low * whole, high * whole)
