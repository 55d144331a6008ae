"""How sure the published numbers and every table's cells are: which rows hang together, and the intervals.

DynaMath's variants hang together by their seed, MME's questions by their picture (within a subtask, whose pictures are given).
HallusionBench counts whole figures and whole questions, and one question is asked of several figures of a set: the least that holds
both whole is the set, which is what is drawn. Rows of the other benchmarks stand alone: Wilson's interval. Several responses to a row
are no more rows: of their mean the bootstrap again, which draws rows with all their responses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

from r1vl_core.evaluation.benchmarks import hallusionbench, mme
from r1vl_core.evaluation.benchmarks.registry import group_key
from r1vl_core.evaluation.benchmarks.rulings import Judged, Totals
from r1vl_core.evaluation.benchmarks.tables import Percent, grouped
from r1vl_core.evaluation.bootstrap import Stratum, bootstrap_interval
from r1vl_core.evaluation.statistics import Interval, wilson_interval

Share = Callable[[Judged], tuple[int, int]]
"""Of one cluster's rows: how many hits, out of how many."""

COLUMN = "column"
"""The published number among the intervals."""


def intervals(benchmark: str, judged: Judged, totals: Totals) -> dict[str, Interval | None]:
    """95 % intervals, in the numbers' units: of "column", the one in the paper's table, and of every table's cell ("category.math").

    None where all rows hang together, or a subtask's: a single cluster says nothing of how others would fare.
    """
    strata = numbers(benchmark, judged)
    cells = {COLUMN: totals.column, **_cells(totals.tables)}
    return {name: bootstrap_interval(strata[name]) if name in strata else _wilson(name, cell) for name, cell in cells.items()}


def intervals_of_means(benchmark: str, samples: Sequence[Judged], totals: Sequence[Totals]) -> dict[str, Interval | None]:
    """95 % intervals of the numbers' means over several responses to the same rows; None as for `intervals`."""
    strata = [numbers(benchmark, judged) for judged in samples]
    cells = [{COLUMN: one.column, **_cells(one.tables)} for one in totals]
    pooled = {name: [_pooled(same) for same in zip(*(one[name] for one in strata), strict=True)] for name in strata[0]}
    alone = {name: [_pooled([_alone(name, one[name]) for one in cells])] for name in cells[0] if name not in pooled}
    return {name: bootstrap_interval({**pooled, **alone}[name]) for name in cells[0]}


def _alone(name: str, cell: float) -> Stratum:
    """A share of rows that stand alone, each a cluster."""
    assert isinstance(cell, Percent), f"{name}: no share of rows that stand alone"
    hits = numpy.array(cell.rights, dtype=numpy.int64)[:, None]
    return Stratum(hits, numpy.ones_like(hits), (100.0,))


def _pooled(samples: Sequence[Stratum]) -> Stratum:
    """A cluster's hits in all samples: the same rows are in each, in the same order."""
    hits, totals = (sum((getattr(one, part) for one in samples), numpy.zeros_like(samples[0].hits)) for part in ("hits", "totals"))
    return Stratum(hits, totals, samples[0].weights)


def numbers(benchmark: str, judged: Judged) -> dict[str, list[Stratum]]:
    """The numbers whose rows hang together, by name, as `bootstrap` takes them; empty for a benchmark whose rows stand alone."""
    match benchmark:
        case "dynamath":
            return _numbers_of_dynamath(judged)
        case "hallusionbench":
            return _numbers_of_hallusionbench(judged)
        case "mme":
            return _numbers_of_mme(judged)
    return {}


def _cells(tables: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Every number of nested tables under its dotted name."""
    cells: dict[str, float] = {}
    for name, cell in tables.items():
        cells.update(_cells(cell, f"{prefix}{name}.") if isinstance(cell, Mapping) else {f"{prefix}{name}": cell})
    return cells


def _wilson(name: str, cell: float) -> Interval | None:
    assert isinstance(cell, Percent), f"{name}: no share of rows that stand alone"
    if not cell.num_all:
        return None
    low, high = wilson_interval(cell.num_right, cell.num_all)
    return Interval(100 * low, 100 * high)


def _numbers_of_dynamath(judged: Judged) -> dict[str, list[Stratum]]:
    """The averages; in the worst case seeds stand alone."""
    parts = {"average.overall": judged}
    for column in ("subject", "knowledge_level"):
        parts |= {f"average.{column}.{name}": rows for name, rows in _parts(judged, column).items()}
    found = {name: [_stratum(_clusters("dynamath", rows), {_rows: 100.0})] for name, rows in parts.items()}
    return {COLUMN: found["average.overall"], **found}


def _numbers_of_hallusionbench(judged: Judged) -> dict[str, list[Stratum]]:
    shares: dict[str, Share] = {"aAcc": _rows, "fAcc": _whole(hallusionbench.FIGURE), "qAcc": _whole(hallusionbench.QUESTION)}
    found = {COLUMN: [_stratum(_clusters("hallusionbench", judged), dict.fromkeys(shares.values(), 100 / 3))]}
    parts = {"overall": judged}
    for column in ("category", "l2-category"):
        parts |= {f"{column}.{name}": rows for name, rows in _parts(judged, column).items()}
    for name, rows in parts.items():
        sets = _clusters("hallusionbench", rows)
        found |= {f"{name}.{kind}": [_stratum(sets, {share: 100.0})] for kind, share in shares.items()}
    return found


def _numbers_of_mme(judged: Judged) -> dict[str, list[Stratum]]:
    """The scores and accuracies; whole pictures stand alone."""
    subtasks = {name: _clusters("mme", rows) for name, rows in _parts(judged, "category").items()}
    scores = {name: _stratum(pictures, {_rows: 100.0, _pair: 100.0}) for name, pictures in subtasks.items()}
    found = {COLUMN: list(scores.values())}
    for kind, names in (("perception", mme.PERCEPTION), ("reasoning", mme.REASONING)):
        found[kind] = [stratum for name, stratum in scores.items() if name in names]
    for name, pictures in subtasks.items():
        found |= {f"category.{name}": [scores[name]], f"accuracy.{name}": [_stratum(pictures, {_rows: 100.0})]}
    return found


def _parts(judged: Judged, column: str) -> dict[str, list[tuple[Mapping[str, str], bool]]]:
    """The rows by a column's value, those without one left out."""
    found: dict[str, list[tuple[Mapping[str, str], bool]]] = {}
    for row, right in judged:
        if row.get(column):
            found.setdefault(row[column], []).append((row, right))
    return dict(sorted(found.items()))


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
