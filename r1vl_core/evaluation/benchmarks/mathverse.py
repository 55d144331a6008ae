"""MathVerse (mini): 788 geometry and function problems in five versions each, which move what the text says into the picture.

The file: index, image, question, answer, question_for_eval, query_cot, problem_version, metadata (a Python dict with subject and
subfield). The toolkit has a judge extract every answer; without one the answer found in the response is taken for the extraction, and is
right when it equals the gold answer letter by letter. Published: percent right of all rows.
"""

from __future__ import annotations

import json

from r1vl_core.evaluation.benchmarks.final_answer import final_answer as find_answer
from r1vl_core.evaluation.benchmarks.rulings import Cell, Judged, Row, Ruling, Totals, Version, unresolved
from r1vl_core.evaluation.benchmarks.strict import literal, rule_strictly
from r1vl_core.evaluation.benchmarks.tables import by_column, grouped, overall, percent
from r1vl_core.evaluation.benchmarks.wording import TextRow
from r1vl_core.evaluation.benchmarks.wording import as_it_stands as question_text

__all__ = ["COLUMNS", "check", "find_answer", "plain_text", "question_text", "rule", "strict", "sum_up"]

COLUMNS = ("question", "answer", "problem_version", "metadata")

plain_text = question_text


def check(row: TextRow) -> None:
    """Raises ValueError, with the column, for metadata without subject and subfield."""
    _metadata(row)


def rule(row: Row, prediction: Cell, version: Version) -> Ruling:
    """Right when prediction and gold answer, stripped, are the same text; what else is right only a judge can say."""
    said = str(prediction).strip()
    return Ruling(said, True, "same text") if said == str(row["answer"]).strip() else unresolved(said, "another text")


def strict(row: TextRow, response: str) -> Ruling:
    """Right by our own reading."""
    return rule_strictly(response, row["answer"])


def sum_up(judged: Judged) -> Totals:
    """Percent right overall, by problem version, subject and subfield, and by subject and subfield within each version."""
    versions = sorted({row["problem_version"] for row, _ in judged})
    within = {name: _subjects([pair for pair in judged if pair[0]["problem_version"] == name]) for name in versions}
    tables = {"overall": overall(judged), "problem_version": by_column(judged, "problem_version"), **_subjects(judged), "within": within}
    return Totals(overall(judged), tables)


def _subjects(judged: Judged) -> dict[str, dict[str, float]]:
    return {
        key: {name: percent(right) for name, right in sorted(grouped(judged, lambda row, key=key: [_metadata(row)[key]]).items())}  # type: ignore[misc]
        for key in ("subject", "subfield")
    }


def _metadata(row: TextRow) -> dict[str, str]:
    try:
        found = json.loads(row["metadata"].replace("'", '"'))
    except ValueError:
        found = literal(row["metadata"])  # a text with an apostrophe of its own
    if not isinstance(found, dict) or not {"subject", "subfield"} <= found.keys():
        raise ValueError("column 'metadata': needs a Python dict with 'subject' and 'subfield'")
    return {key: str(found[key]) for key in ("subject", "subfield")}
