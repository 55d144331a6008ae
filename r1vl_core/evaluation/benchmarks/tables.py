"""Percentages of right rows, over all rows and by group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from r1vl_core.evaluation.benchmarks.rulings import Judged


def percent(right: Sequence[bool]) -> float:
    """Share of right ones in percent; 0 of none.

    >>> percent([True, False, False, True])
    50.0
    """
    return 100 * sum(right) / len(right) if right else 0.0


def grouped(judged: Judged, groups: Callable[[Mapping[str, str]], Iterable[str]]) -> dict[str, list[bool]]:
    """The rows' verdicts by group, groups in the order of their first row; a row may be in several groups, or twice in one."""
    found: dict[str, list[bool]] = {}
    for row, right in judged:
        for group in groups(row):
            found.setdefault(group, []).append(right)
    return found


def by_column(judged: Judged, column: str) -> dict[str, float]:
    """Percent right for each value of a column, in alphabetical order; no value when the column is missing."""
    groups = grouped(judged, lambda row: [row[column]] if row.get(column) else [])
    return {name: percent(right) for name, right in sorted(groups.items())}


def overall(judged: Judged) -> float:
    """Percent right of all rows."""
    return percent([right for _, right in judged])
