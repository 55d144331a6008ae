"""The benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_uppercase
from types import ModuleType
from typing import Protocol, cast

from r1vl_core.evaluation.benchmarks import chartqa, dynamath, hallusionbench, handwriting, mathverse, mathvision, mathvista, mme, mmstar
from r1vl_core.evaluation.benchmarks.rulings import Cell, Judged, Row, Ruling, Totals, Version
from r1vl_core.evaluation.benchmarks.strict import YES_NO, literal
from r1vl_core.evaluation.benchmarks.wording import TextRow, instructed
from r1vl_core.prompts import render_prompt


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


def prompt_text(name: str, row: TextRow, prompt: str) -> str:
    """All that a policy is asked about a row: in R1-VL's words under the template `reasoning`, else in those for any model.

    Raises ValueError for an unknown template.
    """
    module = benchmark(name)
    if prompt == "reasoning":
        return instructed(module.question_text(row))
    return render_prompt(prompt, question=module.plain_text(row))


def group_key(name: str, row: TextRow) -> str | None:
    """What a row hangs together with others by: DynaMath's seed question, HallusionBench's set of figures, MME's picture within its
    subtask; None where rows stand alone.

    >>> group_key("dynamath", {"qid": "7"}), group_key("mmstar", {})
    ('7', None)
    """
    match name:
        case "dynamath":
            return row["qid"]
        case "hallusionbench":
            return hallusionbench.set_of(row)
        case "mme":
            return f"{row['category']}/{row['image_path']}"
    return None


def choices_of(name: str, row: TextRow) -> tuple[tuple[str, str], ...]:
    """The choices a row offers, by letter: its columns A, B, …, or its list of choices; none for a free answer."""
    if name == "hallusionbench":
        return YES_NO
    listed = literal(row.get("choices", ""))
    if isinstance(listed, list):
        return tuple(zip(ascii_uppercase, map(str, listed), strict=False))
    return tuple((letter, row[letter]) for letter in ascii_uppercase if row.get(letter))
