"""The benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Protocol, cast

from r1vl_core.evaluation.benchmarks import chartqa, dynamath, hallusionbench, handwriting, mathverse, mathvision, mathvista, mme, mmstar
from r1vl_core.evaluation.benchmarks.rulings import Cell, Judged, Row, Ruling, Totals, Version
from r1vl_core.evaluation.benchmarks.wording import TextRow


class Benchmark(Protocol):
    """What a benchmark's module gives; the module's own text says what the file holds and what is published."""

    @property
    def COLUMNS(self) -> tuple[str, ...]:
        """Columns the file needs besides index and image."""
        ...

    check: Callable[[TextRow], None]
    """Raises ValueError naming the column of a row that cannot be scored."""
    question_text: Callable[[TextRow], str]
    """What R1-VL is asked; `wording.instructed` makes the whole prompt of it."""
    plain_text: Callable[[TextRow], str]
    """What a model without wording of its own is asked."""
    find_answer: Callable[[str], str]
    """The answer in a raw response, as the profiles `paper` and `current` find it."""
    rule: Callable[[Row, Cell, Version], Ruling] | None
    """The toolkit's ruling on a prediction, as its spreadsheet holds it; None for a benchmark it does not have."""
    strict: Callable[[TextRow, str], Ruling]
    """Our own ruling on a raw response."""
    sum_up: Callable[[Judged], Totals]
    """The published number and every table."""


MODULES: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (mathvista, mmstar, mathvision, chartqa, dynamath, hallusionbench, mathverse, mme, handwriting)
}


def benchmark(name: str) -> Benchmark:
    """The benchmark of that name. Raises ValueError naming those there are."""
    if name not in MODULES:
        raise ValueError(f"no benchmark {name!r}; there are {', '.join(MODULES)}")
    return cast(Benchmark, MODULES[name])
