"""The last column of the paper's table: the mean of the eight benchmarks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from r1vl_core.evaluation.benchmarks.rulings import BENCHMARKS

COLUMNS = tuple(name for name in BENCHMARKS if name != "handwriting")
"""The benchmarks in the order of the paper's table."""

MME_MAXIMUM = 2800


@dataclass(frozen=True, slots=True)
class Average:
    """The mean in percent, and as the paper prints it: cut, not rounded, after one decimal.

    >>> Average(51.4991).cut
    51.4
    """

    exact: float

    @property
    def cut(self) -> float:
        """One decimal, the others cut off. A billionth is added first: 41.2 is 41.19999… in binary."""
        return math.floor(self.exact * 10 + 1e-9) / 10


def average(columns: Mapping[str, float]) -> Average | None:
    """The mean of the eight published numbers, MME's as a percentage of its maximum; None while one is missing.

    >>> average({**dict.fromkeys(COLUMNS, 50.0), "mme": 1400.0})
    Average(exact=50.0)
    """
    if any(name not in columns for name in COLUMNS):
        return None
    percent = [columns[name] * (100 / MME_MAXIMUM if name == "mme" else 1) for name in COLUMNS]
    return Average(sum(percent) / len(percent))
