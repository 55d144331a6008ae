"""MME: 2374 yes-or-no questions, two about each of 1187 pictures, in 14 subtasks.

The file: index, image, question, answer (Yes, No), category (the subtask), image_path (which two questions belong together). A subtask's
score is 100 times the share of right questions plus 100 times the share of pictures with both right. Published: the sum over the
subtasks, 2800 at most.
"""

from __future__ import annotations

from r1vl_core.evaluation.benchmarks.final_answer import final_answer as find_answer
from r1vl_core.evaluation.benchmarks.hallusionbench import rule
from r1vl_core.evaluation.benchmarks.rulings import Judged, Ruling, Totals
from r1vl_core.evaluation.benchmarks.strict import rule_strictly
from r1vl_core.evaluation.benchmarks.tables import grouped, percent
from r1vl_core.evaluation.benchmarks.wording import TextRow
from r1vl_core.evaluation.benchmarks.wording import as_it_stands as question_text

__all__ = ["COLUMNS", "check", "find_answer", "plain_text", "question_text", "rule", "strict", "sum_up"]

COLUMNS = ("question", "answer", "category", "image_path")

plain_text = question_text

PERCEPTION = ("OCR", "artwork", "celebrity", "color", "count", "existence", "landmark", "position", "posters", "scene")
REASONING = ("code_reasoning", "commonsense_reasoning", "numerical_calculation", "text_translation")


def check(row: TextRow) -> None:
    """Raises ValueError, with the column, for a subtask that MME does not have."""
    if row["category"] not in PERCEPTION + REASONING:
        raise ValueError(f"column 'category': {row['category']!r:.80} is no subtask of MME ({', '.join(PERCEPTION + REASONING)})")


def strict(row: TextRow, response: str) -> Ruling:
    """Right by our own reading of a yes or no, whatever is said behind it."""
    return rule_strictly(response, row["answer"], (("Y", "Yes"), ("N", "No")))


def sum_up(judged: Judged) -> Totals:
    """Scores by subtask and their sums. A picture one of whose questions has no response counts among the questions alone."""
    questions, pairs, scores = {}, {}, {}
    for name in sorted({row["category"] for row, _ in judged}):
        of_subtask = [pair for pair in judged if pair[0]["category"] == name]
        pictures = grouped(of_subtask, lambda row: [row["image_path"]])
        questions[name] = percent([right for _, right in of_subtask])
        pairs[name] = percent([all(right[:2]) for right in pictures.values() if len(right) > 1])
        scores[name] = questions[name] + pairs[name]
    perception = sum(scores.get(name, 0.0) for name in PERCEPTION)
    reasoning = sum(scores.get(name, 0.0) for name in REASONING)
    tables = {"perception": perception, "reasoning": reasoning, "category": scores, "accuracy": questions, "accuracy_plus": pairs}
    return Totals(perception + reasoning, tables)
