"""How sure the published numbers are: which rows hang together, and the numbers' intervals.

DynaMath's variants hang together by their seed, MME's questions by their picture (within a subtask, whose pictures are given).
HallusionBench counts whole figures and whole questions, and one question is asked of several figures of a set: the least that holds
both whole is the set, which is what is drawn. Rows of the other benchmarks stand alone: Wilson's interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy

from r1vl_core.evaluation.benchmarks import hallusionbench
from r1vl_core.evaluation.benchmarks.registry import group_key
from r1vl_core.evaluation.benchmarks.rulings import Judged
from r1vl_core.evaluation.benchmarks.tables import grouped
from r1vl_core.evaluation.bootstrap import Stratum, bootstrap_interval
from r1vl_core.evaluation.statistics import Interval, wilson_interval

Share = Callable[[Judged], tuple[int, int]]
"""Of one cluster's rows: how many hits, out of how many."""

COLUMN = "column"
"""The published number among the intervals."""


def intervals(benchmark: str, judged: Judged) -> dict[str, Interval | None]:
    """95 % intervals of the published numbers, in their units, by name; "column" is the one in the paper's table.

    None where all rows hang together, or a subtask's: a single cluster says nothing of how others would fare.
    """
    found = numbers(benchmark, judged)
    if found:
        return {name: bootstrap_interval(strata) for name, strata in found.items()}
    low, high = wilson_interval(sum(right for _, right in judged), len(judged))
    return {COLUMN: Interval(100 * low, 100 * high)}


def numbers(benchmark: str, judged: Judged) -> dict[str, list[Stratum]]:
    """The published numbers of a benchmark whose rows hang together, as `bootstrap` takes them; empty for any other benchmark."""
    match benchmark:
        case "dynamath":
            seeds = _clusters(benchmark, judged)
            average = [_stratum(seeds, {_rows: 100.0})]
            return {COLUMN: average, "average": average, "worst_case": [_stratum(seeds, {_all_right: 100.0})]}
        case "hallusionbench":
            sets = _clusters(benchmark, judged)
            shares: dict[str, Share] = {"aAcc": _rows, "fAcc": _whole(hallusionbench.FIGURE), "qAcc": _whole(hallusionbench.QUESTION)}
            apart = {name: [_stratum(sets, {share: 100.0})] for name, share in shares.items()}
            return {COLUMN: [_stratum(sets, dict.fromkeys(shares.values(), 100 / 3))], **apart}
        case "mme":
            names = sorted({row["category"] for row, _ in judged})
            subtasks = {name: [pair for pair in judged if pair[0]["category"] == name] for name in names}
            strata = {name: [_stratum(_clusters(benchmark, rows), {_rows: 100.0, _pair: 100.0})] for name, rows in subtasks.items()}
            return {COLUMN: [one for of_subtask in strata.values() for one in of_subtask], **strata}
    return {}


def _clusters(benchmark: str, judged: Judged) -> list[Judged]:
    found: dict[str, list[tuple[Mapping[str, str], bool]]] = {}
    for row, right in judged:
        found.setdefault(group_key(benchmark, row) or "", []).append((row, right))
    return list(found.values())


def _stratum(clusters: Sequence[Judged], shares: Mapping[Share, float]) -> Stratum:
    counts = numpy.array([[share(cluster) for share in shares] for cluster in clusters], dtype=numpy.int64)
    return Stratum(counts[:, :, 0], counts[:, :, 1], tuple(shares.values()))


def _rows(cluster: Judged) -> tuple[int, int]:
    return sum(right for _, right in cluster), len(cluster)


def _all_right(cluster: Judged) -> tuple[int, int]:
    return int(all(right for _, right in cluster)), 1


def _pair(cluster: Judged) -> tuple[int, int]:
    """MME's accuracy+: both questions about a picture; a picture with one question does not count."""
    return (int(cluster[0][1] and cluster[1][1]), 1) if len(cluster) > 1 else (0, 0)


def _whole(part: int) -> Share:
    """HallusionBench's figures or questions with every row right."""

    def share(cluster: Judged) -> tuple[int, int]:
        groups = grouped(cluster, lambda row: [hallusionbench.part_of(row, part)])
        return sum(all(right) for right in groups.values()), len(groups)

    return share
