"""DynaMath: 501 seed questions in ten variants each: is a question answered whatever its numbers are?

The file: index, image, question, answer, answer_type (float, multiple choice, text), subject, knowledge_level, qid (the seed; the index of
its first variant), varid (1 to 10). The answer is the "short answer" of a JSON object, or the text itself. Published: percent right of all
rows ("average"); the worst case is the percentage of seeds with every variant right.
"""

from __future__ import annotations

import json
import math
from typing import Any

from r1vl_core.evaluation.benchmarks.final_answer import final_answer as find_answer
from r1vl_core.evaluation.benchmarks.rulings import Cell, Judged, Row, Ruling, Totals, Version, crashed, unresolved
from r1vl_core.evaluation.benchmarks.strict import rule_strictly, within
from r1vl_core.evaluation.benchmarks.tables import by_column, grouped, overall, percent
from r1vl_core.evaluation.benchmarks.wording import TextRow
from r1vl_core.evaluation.benchmarks.wording import as_it_stands as question_text

__all__ = ["COLUMNS", "check", "find_answer", "plain_text", "question_text", "rule", "strict", "sum_up"]

COLUMNS = ("question", "answer", "answer_type", "subject", "knowledge_level", "qid", "varid")

TOLERANCE = 0.001
"""How far a float may be from the gold one."""

_TYPES = ("float", "multiple choice", "text")
_KEY = "short answer"
_NO_ANSWER = object()


def check(row: TextRow) -> None:
    """Raises ValueError, with the column, for an unknown answer type or a variant that is no number."""
    if row["answer_type"] not in _TYPES:
        raise ValueError(f"column 'answer_type': {row['answer_type']!r:.80} is none of {', '.join(_TYPES)}")
    if not row["varid"].strip().isdecimal():
        raise ValueError(f"column 'varid': {row['varid']!r:.80} is no number")


def plain_text(row: TextRow) -> str:
    """The toolkit's wording for models without one of their own: the answer is asked for as JSON."""
    wanted = {
        "multiple choice": "Provide the corresponing choice option in the 'short answer' key, such as 'A', 'B', 'C', or 'D'.",
        "float": "Format the answer as a three-digit floating-point number and provide it in the 'short answer' key.",
        "text": "Float numbers in the answer should be formatted as three-digit floating-point numbers.",
    }[row["answer_type"]]
    example = json.dumps({"solution": "[Detailed step-by-step explanation]", _KEY: "[Concise Answer]"}, indent=4)
    return (
        f"## Question\n {row['question']}\n## Answer Instruction Please provide an answer to the question outlined above. Your response "
        "should adhere to the following JSON format, which includes two keys: 'solution' and 'short answer'. The 'solution' key can "
        "contain detailed steps needed to solve the question, and the 'short answer' key should provide a concise response. "
        f"{wanted}\n\nExample of expected JSON response format:\n\n{example}"
    )


def rule(row: Row, prediction: Cell, version: Version) -> Ruling:
    """Find the short answer, then compare it as its type asks. Where the toolkit ends with an exception the row is wrong."""
    if version == "paper" and not isinstance(prediction, str):
        return crashed(str(prediction), "the prediction is no text")
    text = unwrapped(str(prediction))
    try:
        parsed, answer = _parse_2024(text, str(row["answer_type"])) if version == "paper" else _parse_2026(text, str(row["answer_type"]))
        return _compare(row, text, parsed, answer)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        return crashed(text, f"{error}"[:200])


def unwrapped(prediction: str) -> str:
    """From the first "{" to the last "}" where both are there, without backslashes.

    >>> unwrapped("so \\\\boxed{5}!"), unwrapped("5")
    ('{5}', '5')
    """
    first, last = prediction.find("{"), prediction.rfind("}")
    text = prediction[first : last + 1] if 0 <= first < last else prediction
    return text.replace("\\", "")


def parse_short_answer(text: str, answer_type: str) -> tuple[bool, Any]:
    """Could a short answer be read as its type, and what it is. Raises ValueError for digits that are no number, such as "²".

    >>> parse_short_answer("7 units", "float"), parse_short_answer("B) 12", "multiple choice"), parse_short_answer("1/2", "float")
    ((True, 7.0), (True, 'B'), (False, None))
    """
    if answer_type == "float":
        return (True, float(text)) if text.isdigit() else _first_number(text.split(" ")[0])
    if answer_type == "multiple choice":
        if len(text) == 1:
            return True, text.upper()
        letters = [letter for letter in "ABCDE" if letter in text.upper()]
        return (True, letters[0]) if len(letters) == 1 else (False, None)
    return True, text


def strict(row: TextRow, response: str) -> Ruling:
    """Right by our own reading, or as a number within the tolerance; the short answer of a JSON object counts as the answer."""
    found = _json_answer(unwrapped(find_answer(response)))
    said = str(found) if isinstance(found, str | int | float) else response
    ruling = rule_strictly(said, row["answer"])
    if not ruling.correct and row["answer_type"] == "float" and within(said, row["answer"], absolute=TOLERANCE):
        return Ruling(ruling.extracted, True, "within 0.001")
    return ruling


def sum_up(judged: Judged) -> Totals:
    """Average and worst case, each overall, by subject and by knowledge level; a seed is what its first variant is."""
    first = _first_variants(judged)
    worst = [(first[seed], all(right)) for seed, right in grouped(judged, lambda row: [row["qid"]]).items()]
    return Totals(overall(judged), {"average": _table(judged), "worst_case": _table(worst)})


def _first_variants(judged: Judged) -> dict[str, TextRow]:
    first: dict[str, TextRow] = {}
    for row, _ in judged:
        if row["qid"] not in first or int(row["varid"]) < int(first[row["qid"]]["varid"]):
            first[row["qid"]] = row
    return first


def _table(judged: Judged) -> dict[str, Any]:
    by = {name: by_column(judged, name) for name in ("subject", "knowledge_level")}
    return {"overall": percent([right for _, right in judged]), **by}


def _parse_2024(text: str, answer_type: str) -> tuple[bool, Any]:
    found = _json_answer(text)
    return parse_short_answer(text, answer_type) if found is _NO_ANSWER else (True, found)


def _parse_2026(text: str, answer_type: str) -> tuple[bool, Any]:
    """As in 2024, but the short answer of a JSON object is parsed too; one that cannot be is no better than none."""
    found = _json_answer(text)
    if found is not _NO_ANSWER and found is not None:
        try:
            parsed, answer = parse_short_answer(found, answer_type)
        except (ValueError, AttributeError, TypeError):
            parsed = False
        if parsed:
            return True, answer
    return parse_short_answer(text, answer_type)


def _json_answer(text: str) -> Any:
    """The short answer of a JSON object, None when the object has none; `_NO_ANSWER` for any other text."""
    try:
        found = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return _NO_ANSWER
    return found.get(_KEY) if isinstance(found, dict) else _NO_ANSWER


def _first_number(word: str) -> tuple[bool, float | None]:
    """A Python float; what stands in front of a π is so many π, whatever follows."""
    number, pi, _ = word.partition("π")
    try:
        return True, float(number) * (math.pi if pi else 1)
    except ValueError:
        return False, None


def _compare(row: Row, text: str, parsed: bool, answer: Any) -> Ruling:
    gold: Any = row["answer"]
    said = str(answer) if parsed else ""
    if row["answer_type"] == "float":
        if not parsed:
            return unresolved(said, "no number")
        return Ruling(said, abs(float(answer) - float(gold)) <= TOLERANCE, "number within 0.001")
    if row["answer_type"] == "multiple choice":
        if parsed:
            return Ruling(said, answer == gold, "option letter")
        if gold in text[:3].upper():
            return Ruling(said, True, "letter among the first three characters")
        return unresolved(said, "no option letter, or several")
    return Ruling(said, answer.lower() in gold.lower(), "part of the gold answer")
