"""MATH-Vision: 3040 competition problems in 16 subjects, with options or open.

The file: index, image, question, choices (a Python list, "[]" for an open problem), answer, category. Published: percent right of all rows.

An open answer is right when it is the gold text (small or capital), or when both are Python expressions whose values differ by less than a
millionth, or both are LaTeX whose values do. The toolkit has Python execute the prediction, and its own variable named `a` holds the gold
value, so that "A" is right for every number. Nothing is executed here; the value of an arithmetic expression is found all the same, and
`a` has one.
"""

from __future__ import annotations

from typing import Any

from r1vl_core.evaluation.benchmarks import arithmetic, mathvista
from r1vl_core.evaluation.benchmarks.final_answer import final_answer as find_answer
from r1vl_core.evaluation.benchmarks.latex_values import latex_equal
from r1vl_core.evaluation.benchmarks.rulings import Cell, Judged, Row, Ruling, Totals, Version, unresolved
from r1vl_core.evaluation.benchmarks.strict import rule_strictly
from r1vl_core.evaluation.benchmarks.tables import by_column, overall
from r1vl_core.evaluation.benchmarks.wording import TextRow
from r1vl_core.evaluation.benchmarks.wording import as_it_stands as question_text

__all__ = ["COLUMNS", "check", "find_answer", "plain_text", "question_text", "rule", "strict", "sum_up"]

COLUMNS = ("question", "choices", "answer", "category")

plain_text = question_text

TOLERANCE = 1e-6
"""How far apart two values may be."""


def check(row: TextRow) -> None:
    """Raises ValueError, with the column, for choices that are no list."""
    mathvista.listed(row["choices"])


def rule(row: Row, prediction: Cell, version: Version) -> Ruling:
    """Right when the option named is the gold one, or when an open answer is the same text or has the same value."""
    said, gold = str(prediction), str(row["answer"])
    if mathvista.listed(str(row["choices"])):
        return mathvista.rule_choice(said, row["choices"], lambda letter: _is_letter(letter, gold), version)
    name = same_value(said, gold, version)
    if name is not None:
        return Ruling(said, True, name)
    if same_value(mathvista.NO_EXTRACTION, gold, version) is not None:
        return Ruling("", True, 'no match; the failed extraction, "nan", matches')
    return unresolved(said, "another value, or none")


def same_value(said: str, gold: str, version: Version) -> str | None:
    """The rule by which an open answer equals the gold one, None when none does.

    >>> same_value("32.0", "32", "paper"), same_value("A", "7", "current"), same_value("32 cm", "32", "current")
    ('same value', 'same value', None)
    """
    said, gold = said.lower().strip(), gold.lower().strip()
    if said == gold:
        return "same text"
    if _close(said, gold):
        return "same value"
    return "same value in LaTeX" if latex_equal(said, gold, version, TOLERANCE) else None


def strict(row: TextRow, response: str) -> Ruling:
    """Right by our own reading: the choice, or the value."""
    choices = tuple((letter, str(text)) for letter, text in mathvista.lettered(mathvista.listed(row["choices"])).items())
    return rule_strictly(response, row["answer"], choices)


def sum_up(judged: Judged) -> Totals:
    """Percent right overall, by subject, and by level where the file has one."""
    tables = {name: by_column(judged, name) for name in ("category", "level")}
    return Totals(overall(judged), {"overall": overall(judged), **{name: table for name, table in tables.items() if table}})


def _is_letter(letter: str, gold: str) -> bool:
    """Letters are compared as open answers are: small ones count, and "A" equals every number."""
    gold = gold.lower().strip()
    return letter.lower() == gold or _close(letter.lower(), gold)


def _close(said: str, gold: str) -> bool:
    try:
        wanted: Any = arithmetic.value(gold)
        found: Any = arithmetic.value(said, {"a": wanted, "asw": said, "gt_asw": gold})  # what `eval` finds in the toolkit's function
        return bool(abs(found - wanted) < TOLERANCE)
    except (arithmetic.NotArithmeticError, TypeError, OverflowError):
        return False
