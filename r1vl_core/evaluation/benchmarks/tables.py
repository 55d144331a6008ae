"""Percentages of right rows, over all rows and by group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from r1vl_core.evaluation.benchmarks.rulings import Judged


class Percent(float):
    """A share in percent that knows what it counts: was each of `rights` right? 0 of none.

    >>> Percent([True, False, True, True]), Percent([True]).num_all
    (75.0, 1)
    """

    rights: tuple[bool, ...]

    def __new__(cls, rights: Sequence[bool]) -> Percent:
        share = super().__new__(cls, 100 * sum(rights) / len(rights) if rights else 0.0)
        share.rights = tuple(rights)
        return share

    @property
    def num_right(self) -> int:
        """How many are right."""
        return sum(self.rights)

    @property
    def num_all(self) -> int:
        """Out of how many."""
        return len(self.rights)

    def __getnewargs__(self) -> tuple[tuple[bool, ...]]:  # type: ignore[override]
        return (self.rights,)


def percent(right: Sequence[bool]) -> Percent:
    """Share of right ones.

    >>> percent([True, False, False, True])
    50.0
    """
    return Percent(right)


def grouped(judged: Judged, groups: Callable[[Mapping[str, str]], Iterable[str]]) -> dict[str, list[bool]]:
    """The rows' verdicts by group, groups in the order of their first row; a row may be in several groups, or twice in one."""
    found: dict[str, list[bool]] = {}
    for row, right in judged:
        for group in groups(row):
            found.setdefault(group, []).append(right)
    return found


def by_column(judged: Judged, column: str) -> dict[str, Percent]:
    """Percent right for each value of a column, in alphabetical order; no value when the column is missing."""
    groups = grouped(judged, lambda row: [row[column]] if row.get(column) else [])
    return {name: percent(right) for name, right in sorted(groups.items())}


def overall(judged: Judged) -> Percent:
    """Percent right of all rows."""
    return percent([right for _, right in judged])
