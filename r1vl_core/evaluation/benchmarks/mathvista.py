"""MathVista (mini): 1000 questions with options or free answers (whole numbers, decimals, texts, lists).

The file: index, image, question, question_type (multi_choice, free_form), answer_type (integer, float, text, list), answer, answer_option
(letter), choices (a Python list), task, skills (a Python list). Published: percent right of all rows; a row counts in each of its skills.

What the rules find right stands; for every other row the toolkit asks a judge to extract the answer. When the judge fails, the empty
extraction comes back from the spreadsheet as "nan", and is matched against the options once more. A gold answer of 0 is never right: the
match is taken for none.
"""

from __future__ import annotations

from collections.abc import Callable

from r1vl_core.evaluation.benchmarks.final_answer import final_answer as find_answer
from r1vl_core.evaluation.benchmarks.options import TooManyOptionsError, match_option
from r1vl_core.evaluation.benchmarks.rulings import Cell, Judged, Row, Ruling, Totals, Version, crashed, unresolved
from r1vl_core.evaluation.benchmarks.strict import literal, rule_strictly
from r1vl_core.evaluation.benchmarks.tables import by_column, grouped, overall, percent
from r1vl_core.evaluation.benchmarks.wording import TextRow
from r1vl_core.evaluation.benchmarks.wording import as_it_stands as question_text

__all__ = ["COLUMNS", "check", "find_answer", "plain_text", "question_text", "rule", "strict", "sum_up"]

COLUMNS = ("question", "question_type", "answer_type", "answer", "answer_option", "choices", "task", "skills")

plain_text = question_text

NO_EXTRACTION = "nan"
"""What a failed judge's empty extraction reads as."""


def check(row: TextRow) -> None:
    """Raises ValueError, with the column, for multiple choice without a list of choices."""
    if row["question_type"] not in ("multi_choice", "free_form"):
        raise ValueError(f"column 'question_type': {row['question_type']!r:.80} is neither multi_choice nor free_form")
    if row["question_type"] == "multi_choice":
        listed(row["choices"])


def listed(cell: str) -> list[Cell]:
    """The choices of a cell. Raises ValueError, with the column, when it holds no Python list.

    >>> listed("['12', 16]")
    ['12', 16]
    """
    found = literal(cell)
    if not isinstance(found, list):
        raise ValueError(f"column 'choices': {cell!r:.80} is no Python list")
    return [item if isinstance(item, str | int | float) else str(item) for item in found]


def lettered(choices: list[Cell]) -> dict[str, Cell]:
    """Choices by the letters from A; what comes after Z has the characters after it, as in the toolkit."""
    return {chr(ord("A") + place): text for place, text in enumerate(choices)}


def rule(row: Row, prediction: Cell, version: Version) -> Ruling:
    """Right when the option named is the gold one, or when the text is a Python number that equals the gold one exactly."""
    if row["question_type"] == "multi_choice":
        return rule_choice(str(prediction), row["choices"], lambda letter: letter == row["answer_option"], version)
    if row["answer_type"] in ("integer", "float"):
        return _rule_number(row, prediction)
    return unresolved(str(prediction), f"a {row['answer_type']} answer is never matched")


def rule_choice(said: str, choices: Cell, is_gold: Callable[[str], bool], version: Version) -> Ruling:
    """Right when the letter of the option that the text names is the gold one."""
    options = lettered(listed(str(choices)))
    try:
        found = match_option(said, options, version)
        if found is not None:
            return Ruling(found[0], is_gold(found[0]), found[1])
        by_nan = match_option(NO_EXTRACTION, options, version)
    except TooManyOptionsError as error:
        return crashed("", str(error))
    if by_nan is not None and is_gold(by_nan[0]):
        return Ruling("", True, 'no option; the failed extraction, "nan", matches')
    return unresolved("", "no option, or several")


def strict(row: TextRow, response: str) -> Ruling:
    """Right by our own reading: the choice, or the value whatever its kind."""
    if row["question_type"] == "multi_choice":
        choices = tuple((letter, str(text)) for letter, text in lettered(listed(row["choices"])).items())
        return rule_strictly(response, row["answer_option"] or row["answer"], choices)
    return rule_strictly(response, row["answer"])


def sum_up(judged: Judged) -> Totals:
    """Percent right overall, by task and by skill."""
    skills = {name: percent(right) for name, right in sorted(grouped(judged, _skills).items())}
    return Totals(overall(judged), {"overall": overall(judged), "task": by_column(judged, "task"), "skill": skills})


def _skills(row: TextRow) -> list[str]:
    found = literal(row["skills"])
    return [str(skill) for skill in found] if isinstance(found, list) else [row["skills"]]


def _rule_number(row: Row, prediction: Cell) -> Ruling:
    kind: Callable[[Cell], int | float] = int if row["answer_type"] == "integer" else float
    said = str(prediction)
    try:
        found = kind(prediction)
    except ValueError:
        return unresolved(said, f"no {row['answer_type']}")
    except OverflowError:
        return crashed(said, "infinity is no integer")
    try:
        gold = kind(row["answer"])
    except ValueError:
        return unresolved(said, "the gold answer is no such number")
    except OverflowError:
        return crashed(said, "infinity is no integer")
    same = f"same {row['answer_type']}"
    if found == gold and not (found and _kept(found) == gold):
        return unresolved(said, "equal, but 0 is taken for no match, and more than 16 digits are not kept")
    return Ruling(said, found == gold, same)


def _kept(number: int | float) -> float | int:
    return float(f"{number:.16G}") if abs(number) < 1e300 else number
