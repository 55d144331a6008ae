"""HallusionBench: 951 yes-or-no questions with a picture (of 1129; the others' image cell is empty, and they are left out).

The file: index (six parts joined by "_": category, subcategory, visual input, set, figure, question), image, question, answer (Yes, No),
category (VD, VS) and l2-category. Published: the mean of aAcc (rows), fAcc (figures with every row right) and qAcc (questions with every
row right), in percent.
"""

from __future__ import annotations

from r1vl_core.evaluation.benchmarks.final_answer import yes_no_answer as find_answer
from r1vl_core.evaluation.benchmarks.rulings import Cell, Judged, Row, Ruling, Totals, Version, unresolved
from r1vl_core.evaluation.benchmarks.strict import YES_NO, rule_strictly
from r1vl_core.evaluation.benchmarks.tables import grouped, overall, percent
from r1vl_core.evaluation.benchmarks.wording import TextRow
from r1vl_core.evaluation.benchmarks.wording import as_it_stands as plain_text
from r1vl_core.evaluation.benchmarks.wording import with_yes_no_choices as question_text
from r1vl_core.evaluation.benchmarks.yes_no import yes_or_no

__all__ = ["COLUMNS", "check", "find_answer", "plain_text", "question_text", "rule", "strict", "sum_up"]

COLUMNS = ("question", "answer", "category", "l2-category")

FIGURE, QUESTION = 4, 5
"""Parts of an index, from 0."""

_SET, _NUM_PARTS = 3, 6


def check(row: TextRow) -> None:
    """Raises ValueError, with the column, for an index without its six parts."""
    if len(row["index"].split("_")) < _NUM_PARTS:
        raise ValueError("column 'index': needs six parts joined by '_': category, subcategory, visual input, set, figure, question")


def rule(row: Row, prediction: Cell, version: Version) -> Ruling:
    """Right when the prediction says what the gold answer says, yes or no."""
    found = yes_or_no(str(prediction), version)
    if found is None:
        return unresolved("", "neither yes nor no, or both")
    return Ruling(found, found == row["answer"], "yes or no")


def strict(row: TextRow, response: str) -> Ruling:
    """Right by our own reading, the choices being A: Yes and B: No."""
    return rule_strictly(response, row["answer"], YES_NO)


def sum_up(judged: Judged) -> Totals:
    """aAcc, fAcc and qAcc, overall, by category and by l2-category."""
    tables: dict[str, object] = {"overall": accuracies(judged)}
    for column in ("category", "l2-category"):
        names = sorted({row[column] for row, _ in judged})
        tables[column] = {name: accuracies([pair for pair in judged if pair[0][column] == name]) for name in names}
    whole = accuracies(judged)
    return Totals((whole["aAcc"] + whole["fAcc"] + whole["qAcc"]) / 3, tables)


def accuracies(judged: Judged) -> dict[str, float]:
    """aAcc: percent of rows; fAcc: of figures, qAcc: of questions (within their l2-category and set) with every row right."""
    return {"aAcc": overall(judged), "fAcc": _all_right(judged, FIGURE), "qAcc": _all_right(judged, QUESTION)}


def set_of(row: TextRow) -> str:
    """The set a row belongs to: figures that differ in what was altered, and the questions that are asked of each of them."""
    return f"{row['l2-category']}_{row['index'].split('_')[_SET]}"


def part_of(row: TextRow, part: int) -> str:
    """A figure or a question within its set."""
    return f"{set_of(row)}_{row['index'].split('_')[part]}"


def _all_right(judged: Judged, part: int) -> float:
    return percent([all(right) for right in grouped(judged, lambda row: [part_of(row, part)]).values()])
