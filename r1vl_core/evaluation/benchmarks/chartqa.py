"""ChartQA (test): 2500 questions about charts, half of them by people, half made by machine; numbers may be 5 % off.

The file: index, image, question, answer (a text, or a Python list of texts any of which is right), split (test_human, test_augmented).
A number is a Python float, or one followed by "%" and then a hundredth of it; `paper` measures the deviation against the prediction
(the toolkit had its arguments swapped until September 2025), `current` against the gold answer. Published: percent right of all rows.
"""

from __future__ import annotations

from r1vl_core.evaluation.benchmarks.final_answer import final_answer as find_answer
from r1vl_core.evaluation.benchmarks.rulings import Cell, Judged, Row, Ruling, Totals, Version, crashed
from r1vl_core.evaluation.benchmarks.strict import literal, rule_strictly, within
from r1vl_core.evaluation.benchmarks.tables import by_column, overall
from r1vl_core.evaluation.benchmarks.wording import TextRow
from r1vl_core.evaluation.benchmarks.wording import as_it_stands as question_text
from r1vl_core.evaluation.benchmarks.wording import with_short_answer as plain_text

__all__ = ["COLUMNS", "check", "find_answer", "plain_text", "question_text", "rule", "strict", "sum_up"]

COLUMNS = ("question", "answer")

TOLERANCE = 0.05
"""Share of the number that a prediction is measured against."""


def check(row: TextRow) -> None:
    """Every text is an answer."""


def rule(row: Row, prediction: Cell, version: Version) -> Ruling:
    """Right when any of the gold answers is matched as a number within the tolerance, else by its letters, small or capital."""
    said = str(prediction).strip()
    rules = [_match(said, gold, version) for gold in gold_answers(str(row["answer"]))]
    if not rules:
        return crashed(said, "no gold answer in the list")
    hit = next((name for name in rules if name), None)
    return Ruling(said, hit is not None, hit or "no match")


def gold_answers(cell: str) -> list[str]:
    """The gold answers of a cell: the items of a Python list, else the cell itself.

    >>> gold_answers("[2013, 2014]"), gold_answers("[Inspired, Hopeful]")
    (['2013', '2014'], ['[Inspired, Hopeful]'])
    """
    found = literal(cell)
    return [str(item) for item in found] if isinstance(found, list) else [cell]


def strict(row: TextRow, response: str) -> Ruling:
    """Right when any gold answer is, or is a number no more than 5 % away from the answer."""
    rulings = [rule_strictly(response, gold) for gold in gold_answers(row["answer"])]
    for ruling, gold in zip(rulings, gold_answers(row["answer"]), strict=True):
        if ruling.correct:
            return ruling
        if within(response, gold, relative=TOLERANCE):
            return Ruling(ruling.extracted, True, "within 5 %")
    return rulings[0] if rulings else Ruling("", False, "no gold answer in the list")


def sum_up(judged: Judged) -> Totals:
    """Percent right overall and by split."""
    return Totals(overall(judged), {"overall": overall(judged), "split": by_column(judged, "split")})


def _match(prediction: str, gold: str, version: Version) -> str | None:
    measure, other = (prediction, gold) if version == "paper" else (gold, prediction)
    reference, value = _number(measure), _number(other)
    if value is not None and reference:
        return "number within 5 %" if abs(value - reference) / abs(reference) <= TOLERANCE else None
    return "text" if prediction.lower() == gold.lower() else None


def _number(text: str) -> float | None:
    """A Python float ("1_000", "nan" and "１４" are), "25%" being a quarter."""
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
