"""Is one policy better than another? Compared row by row on what both answered, benchmark by benchmark and all together.

Where rows stand alone: McNemar's exact test and Newcombe's interval. Where they hang together (ten variants of a question are not ten
pieces of evidence): the exact test over clusters that flips the sign of whole clusters, and a bootstrap of whole clusters. The exact test
is the cautious one: it claims a difference that is none in at most one of twenty comparisons, where its mid-p variant may pass that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy

from r1vl_core.evaluation.bootstrap import Stratum, bootstrap_difference
from r1vl_core.evaluation.statistics import (
    Interval,
    PairedComparison,
    compare_paired,
    holm,
    paired_difference_interval,
    sign_flip_p_value,
)

LEVEL = 0.05
"""A p-value below is called a difference."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Was a row answered right, and which rows does it hang together with (None: it stands alone)? `gold` is its right answer, None where
    nothing says so.

    >>> Verdict(True).cluster is None
    True
    """

    correct: bool
    cluster: str | None = None
    gold: str | None = None


Answers = Mapping[str, Verdict]
"""A policy's verdicts on a benchmark by index."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The second policy against the first on their common rows of a benchmark, or of all of them.

    `pairs` holds the counts and McNemar's own figures; `difference` is in fractions. `interval` and `p_value` are those to go by: over
    clusters where there are any (`num_clusters`); the interval is None where all rows are one cluster. `p_holm` is the p-value adjusted
    for the benchmarks compared, for "all" the p-value itself. `gained` and `lost` are the indices right with one policy alone.
    """

    benchmark: str
    pairs: PairedComparison
    num_first: int
    num_second: int
    num_clusters: int | None
    interval: Interval | None
    p_value: float
    p_holm: float
    gained: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def first_accuracy(self) -> float:
        """The first policy's on the common rows, a fraction."""
        return (self.pairs.num_both + self.pairs.num_first_only) / self.pairs.num_common

    @property
    def second_accuracy(self) -> float:
        """The second policy's on the common rows, a fraction."""
        return (self.pairs.num_both + self.pairs.num_second_only) / self.pairs.num_common


def compare_answers(first: Mapping[str, Answers], second: Mapping[str, Answers]) -> tuple[list[Comparison], Comparison]:
    """Every benchmark that both have answers to, in the first's order, and the rows of all of them together.

    Raises ValueError where they have no benchmark, or no row of one, in common, and where a row is not the same question in both.
    """
    names = [name for name in first if name in second]
    if not names:
        has = f"the first has {', '.join(first) or 'none'}, the second {', '.join(second) or 'none'}"
        raise ValueError(f"no benchmark in common: {has}; compare evaluations of the same benchmark")
    apart = [_compare(name, {name: (first[name], second[name])}) for name in names]
    adjusted = holm([one.p_value for one in apart])
    together = _compare("all", {name: (first[name], second[name]) for name in names})
    return [replace(one, p_holm=p_value) for one, p_value in zip(apart, adjusted, strict=True)], together


def sentence(first: str, second: str, found: Comparison) -> str:
    """What the comparison comes to, in words."""
    pairs = found.pairs
    within = f" [{100 * found.interval.low:+.1f}, {100 * found.interval.high:+.1f}]" if found.interval else ""
    where = "all rows together" if found.benchmark == "all" else found.benchmark
    said = f"{claim(first, second, pairs.difference, found.p_holm)} on {where}"
    return f"{said}: {100 * pairs.difference:+.1f} points{within}, p {p_in_words(found.p_holm)}"


def claim(first: str, second: str, difference: float, p_value: float) -> str:
    """Which policy is better, or that nothing says so.

    >>> claim("warm-up", "StepGRPO", 0.1, 0.001)
    'StepGRPO beats warm-up'
    """
    if p_value >= LEVEL:
        return f"No clear difference between {first} and {second}"
    return f"{second} {'beats' if difference > 0 else 'falls behind'} {first}"


def p_in_words(value: float) -> str:
    """A p-value with its relation sign.

    >>> p_in_words(0.0312), p_in_words(3e-7), p_in_words(0.0)
    ('= 0.031', '= 3e-07', '< 1e-300')
    """
    return "< 1e-300" if value < 1e-300 else f"= {value:.2g}"


Key = tuple[str, str]
Rows = Mapping[Key, Verdict]
"""Verdicts by benchmark and index."""

Clusters = Mapping[tuple[str, str, bool], Sequence[Key]]


def _compare(name: str, of: Mapping[str, tuple[Answers, Answers]]) -> Comparison:
    first = {(benchmark, index): one for benchmark, pair in of.items() for index, one in pair[0].items()}
    second = {(benchmark, index): one for benchmark, pair in of.items() for index, one in pair[1].items()}

    def label(key: Key) -> str:
        return "/".join(key) if len(of) > 1 else key[1]

    try:
        pairs = compare_paired({label(key): first[key].correct for key in first}, {label(key): second[key].correct for key in second})
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    common = [key for key in first if key in second]
    _check_same_rows(common, first, second)
    clusters = _clusters(common, first, second)
    interval: Interval | None = pairs.interval
    p_value, num_clusters = pairs.p_value, None
    if len(clusters) < len(common):
        num_clusters = len(clusters)
        p_value = sign_flip_p_value([sum(second[key].correct - first[key].correct for key in keys) for keys in clusters.values()])
        interval = _clustered(clusters, first, second)
    gained = tuple(label(key) for key in common if second[key].correct > first[key].correct)
    lost = tuple(label(key) for key in common if second[key].correct < first[key].correct)
    return Comparison(name, pairs, len(first), len(second), num_clusters, interval, p_value, p_value, gained, lost)


def _check_same_rows(common: Sequence[Key], first: Rows, second: Rows) -> None:
    """Files of the same name count their rows alike: pairs by index alone could be of unlike questions."""
    for benchmark, index in common:
        golds = first[benchmark, index].gold, second[benchmark, index].gold
        if None not in golds and golds[0] != golds[1]:
            raise ValueError(
                f"{benchmark}: row {index!r:.80} has the answer {golds[0]!r:.80} in the first run and {golds[1]!r:.80} in the second: "
                "they were asked different files; evaluate both on one"
            )


def _clusters(common: Sequence[Key], first: Rows, second: Rows) -> Clusters:
    """Rows by what they hang together by, where either run says so; one that stands alone is a cluster of its own."""
    found: dict[tuple[str, str, bool], list[Key]] = {}
    for key in common:
        cluster = second[key].cluster if first[key].cluster is None else first[key].cluster
        found.setdefault((key[0], key[1], False) if cluster is None else (key[0], cluster, True), []).append(key)
    return found


def _clustered(clusters: Clusters, first: Rows, second: Rows) -> Interval | None:
    """Clusters are drawn within their benchmark, which has the weight of its rows."""
    before, after = _strata(clusters, first), _strata(clusters, second)
    if all(one.num_clusters > 1 and _is_alike(one, other) for one, other in zip(before, after, strict=True)):
        # No resample differs, which does not make the difference certain: each cluster is counted as one row.
        pairs = [(first[key].correct, second[key].correct) for keys in clusters.values() for key in keys]
        gained, lost = (round(pairs.count(pair) * len(clusters) / len(pairs)) for pair in ((False, True), (True, False)))
        return paired_difference_interval(max(0, len(clusters) - gained - lost), lost, gained, 0)
    return bootstrap_difference(before, after)


def _is_alike(before: Stratum, after: Stratum) -> bool:
    """Whether the second policy gained the same share of every cluster."""
    gained, totals = after.hits - before.hits, after.totals
    return bool((gained * totals.sum() == gained.sum() * totals).all())


def _strata(clusters: Clusters, rows: Rows) -> list[Stratum]:
    num_rows = sum(map(len, clusters.values()))
    strata = []
    for benchmark in dict.fromkeys(name for name, _, _ in clusters):
        groups = [keys for (name, _, _), keys in clusters.items() if name == benchmark]
        hits = numpy.array([[sum(rows[key].correct for key in keys)] for keys in groups])
        totals = numpy.array([[len(keys)] for keys in groups])
        strata.append(Stratum(hits, totals, (float(totals.sum()) / num_rows,)))
    return strata
