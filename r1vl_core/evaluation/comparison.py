"""Is one policy better than another? Compared row by row on what both answered, benchmark by benchmark and all together.

Where rows stand alone and each has one response: McNemar's exact test and Newcombe's interval. Where rows hang together (ten variants of a
question are not ten pieces of evidence): the exact test over clusters that flips the sign of whole clusters, and a bootstrap of whole
clusters. Where either policy gave several responses a row, the row is still the unit: what is compared is its share of right responses,
one policy's less the other's, by the same test and bootstrap over rows or their clusters; the two may have unlike numbers of responses (the
test is exact where they have as many, and else holds for many rows). The exact test is the cautious one: it claims a difference that is
none in at most one of twenty comparisons, where its mid-p variant may pass that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm

import numpy

from r1vl_core.evaluation.bootstrap import Stratum, bootstrap_difference, is_alike
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
    """How many of the responses to a row are right, and which rows does it hang together with (None: it stands alone)? `gold` is its
    right answer, None where nothing says so.

    >>> Verdict(True).share, Verdict(1, num_samples=4).share
    (Fraction(1, 1), Fraction(1, 4))
    """

    num_right: int
    cluster: str | None = None
    gold: str | None = None
    num_samples: int = 1

    @property
    def share(self) -> Fraction:
        """Of the responses, those that are right."""
        return Fraction(self.num_right, self.num_samples)


Answers = Mapping[str, Verdict]
"""A policy's verdicts on a benchmark by index."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The second policy against the first on their common rows of a benchmark, or of all of them.

    `pairs` holds the counts and McNemar's own figures, None where rows have several responses; accuracies and `difference` are in
    fractions. `interval` and `p_value` are those to go by: over clusters where there are any (`num_clusters`); the interval is None where
    all rows are one cluster. `p_holm` is the p-value adjusted for the benchmarks compared, for "all" the p-value itself. `gained` and
    `lost` are the indices that the second policy has right more, and less, often. `num_samples` are responses a row with each policy, at
    most.
    """

    benchmark: str
    pairs: PairedComparison | None
    first_accuracy: float
    second_accuracy: float
    difference: float
    num_common: int
    num_first: int
    num_second: int
    num_samples: tuple[int, int]
    num_clusters: int | None
    interval: Interval | None
    p_value: float
    p_holm: float
    gained: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def test(self) -> str:
        """What interval and p-value are by, in words.

        >>> compare_answers({"mme": {"1": Verdict(True)}}, {"mme": {"1": Verdict(True)}})[1].test
        "Newcombe's interval, McNemar's exact test"
        """
        if self.num_clusters is None and self.pairs is not None:
            return "Newcombe's interval, McNemar's exact test"
        return f"bootstrap and sign-flip test over {'rows' if self.num_clusters is None else 'clusters'}"


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
    within = f" [{100 * found.interval.low:+.1f}, {100 * found.interval.high:+.1f}]" if found.interval else ""
    where = "all rows together" if found.benchmark == "all" else found.benchmark
    said = f"{claim(first, second, found.difference, found.p_holm)} on {where}"
    return f"{said}: {100 * found.difference:+.1f} points{within}, p {p_in_words(found.p_holm)}"


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
    common = [key for key in first if key in second]
    if not common:
        raise ValueError(f"{name}: the two policies have no row in common; compare answers to the same benchmark file")
    _check_same_rows(common, first, second)
    clusters = _clusters(common, first, second)
    interval: Interval | None
    num_samples = max(first[key].num_samples for key in common), max(second[key].num_samples for key in common)
    before, after = ({"/".join(key): side[key].share == 1 for key in common} for side in (first, second))
    pairs = compare_paired(before, after) if num_samples == (1, 1) else None
    if pairs is not None and len(clusters) == len(common):
        interval, p_value = pairs.interval, pairs.p_value
    else:
        interval, p_value = _clustered(clusters, first, second)
    accuracies = [sum((side[key].share for key in common), Fraction()) / len(common) for side in (first, second)]
    gained, lost = (
        tuple("/".join(key) if len(of) > 1 else key[1] for key in common if after[key].share > before[key].share)
        for before, after in ((first, second), (second, first))
    )
    return Comparison(
        benchmark=name,
        pairs=pairs,
        first_accuracy=float(accuracies[0]),
        second_accuracy=float(accuracies[1]),
        difference=float(accuracies[1] - accuracies[0]),
        num_common=len(common),
        num_first=len(first),
        num_second=len(second),
        num_samples=num_samples,
        num_clusters=len(clusters) if len(clusters) < len(common) else None,
        interval=interval,
        p_value=p_value,
        p_holm=p_value,
        gained=gained,
        lost=lost,
    )


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


def _clustered(clusters: Clusters, first: Rows, second: Rows) -> tuple[Interval | None, float]:
    """Interval and p-value; clusters are drawn within their benchmark, which has the weight of its rows."""
    samples = lcm(*(side[key].num_samples for keys in clusters.values() for key in keys for side in (first, second)))
    before, after = _strata(clusters, first, samples), _strata(clusters, second, samples)
    gained = [other.hits - one.hits for one, other in zip(before, after, strict=True)]
    p_value = sign_flip_p_value([int(gain) for stratum in gained for gain in stratum[:, 0]])
    if all(len(gain) > 1 and is_alike(gain, one.totals) for gain, one in zip(gained, before, strict=True)):
        # No resample differs, which does not make the difference certain: each cluster is counted as one row.
        shares = [(first[key].share, second[key].share) for keys in clusters.values() for key in keys]
        more, less = (
            round(len(clusters) * sum(max(Fraction(), sign * (last - start)) for start, last in shares) / len(shares)) for sign in (1, -1)
        )
        return paired_difference_interval(max(0, len(clusters) - more - less), less, more, 0), p_value
    return bootstrap_difference(before, after), p_value


def _strata(clusters: Clusters, rows: Rows, samples: int) -> list[Stratum]:
    """Every row weighs the same, however many samples it has: its share of right ones is counted out of so many."""
    num_rows = sum(map(len, clusters.values()))
    strata = []
    for benchmark in dict.fromkeys(name for name, _, _ in clusters):
        groups = [keys for (name, _, _), keys in clusters.items() if name == benchmark]
        hits = numpy.array([[sum(int(rows[key].share * samples) for key in keys)] for keys in groups])
        totals = numpy.array([[samples * len(keys)] for keys in groups])
        strata.append(Stratum(hits, totals, (float(sum(map(len, groups))) / num_rows,)))
    return strata
