"""MMStar: 1500 questions with four options in six categories that cannot be answered without the picture.

The file: index, question, image, answer (letter), category, l2_category and a column for each option. The option that the answer names is
compared with the gold letter; options whose text pandas takes for missing ("None") do not exist. Published: percent right of all rows.
"""

from __future__ import annotations

from string import ascii_uppercase

from r1vl_core.evaluation.benchmarks.final_answer import final_answer as find_answer
from r1vl_core.evaluation.benchmarks.options import match_option
from r1vl_core.evaluation.benchmarks.rulings import Cell, Judged, Row, Ruling, Totals, Version, unresolved
from r1vl_core.evaluation.benchmarks.spreadsheet import is_missing
from r1vl_core.evaluation.benchmarks.strict import rule_strictly
from r1vl_core.evaluation.benchmarks.tables import by_column, overall
from r1vl_core.evaluation.benchmarks.wording import TextRow
from r1vl_core.evaluation.benchmarks.wording import with_choices as question_text
from r1vl_core.evaluation.benchmarks.wording import with_options as plain_text

__all__ = ["COLUMNS", "check", "find_answer", "plain_text", "question_text", "rule", "strict", "sum_up"]

COLUMNS = ("question", "answer", "A", "B")


def check(row: TextRow) -> None:
    """Raises ValueError, with the column, for a gold answer that is no letter."""
    if row["answer"].strip() not in list(ascii_uppercase):
        raise ValueError(f"column 'answer': {row['answer']!r:.80} is no option's letter")


def rule(row: Row, prediction: Cell, version: Version) -> Ruling:
    """Right when the option that the prediction names is the gold one."""
    options = {letter: row[letter] for letter in ascii_uppercase if letter in row and not is_missing(row[letter])}
    found = match_option(str(prediction), options, version)
    if found is None:
        return unresolved("", "no option, or several")
    return Ruling(found[0], found[0] == row["answer"], found[1])


def strict(row: TextRow, response: str) -> Ruling:
    """Right by our own reading of the choices; an option whose text is "None" is one."""
    choices = tuple((letter, row[letter]) for letter in ascii_uppercase if row.get(letter))
    return rule_strictly(response, row["answer"], choices)


def sum_up(judged: Judged) -> Totals:
    """Percent right overall, by category and by l2_category."""
    tables = {name: by_column(judged, name) for name in ("category", "l2_category")}
    return Totals(overall(judged), {"overall": overall(judged), **{name: table for name, table in tables.items() if table}})
