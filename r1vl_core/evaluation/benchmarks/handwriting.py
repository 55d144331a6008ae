"""Our own handwriting world as a benchmark: how it asks, where the answer stands, what is right.

The file is the toolkit's TSV with columns index, question, image, answer, category and one column a choice.
"""

from __future__ import annotations

from string import ascii_uppercase

from r1vl_core.evaluation.benchmarks.rulings import Judged, Ruling, Totals
from r1vl_core.evaluation.benchmarks.strict import Choices
from r1vl_core.evaluation.benchmarks.tables import by_column, overall
from r1vl_core.evaluation.benchmarks.wording import TextRow
from r1vl_core.reasoning import answers, paths
from r1vl_core.records import BenchmarkRow, ScoredResponse, asked

COLUMNS = ("question", "answer", "category")

rule = None
"""The toolkit does not know this benchmark: every profile scores it as `strict` does."""


def prompt_text(row: BenchmarkRow) -> str:
    """What the policy is asked: the question, and for multiple choice a line for each choice.

    >>> print(prompt_text(BenchmarkRow("7", "Which is largest?", (("A", "3"), ("B", "9")), "B", "largest", b"")))
    Which is largest?
    Choices:
    A: 3
    B: 9
    """
    return asked(row.question, row.choices)


def judge(response: str, row: BenchmarkRow, *, num_tokens: int = 0, truncated: bool = False) -> ScoredResponse:
    """Find the answer in the response's answer section, and there alone, and compare it with the gold one.

    `num_tokens` and `truncated` say how the response came about and are kept with it. Never raises for any response.
    """
    answer = paths.parse(response).answer
    extracted = answer.text if answer is not None else None
    verdict = answers.is_correct(extracted, row.answer, row)
    return ScoredResponse(
        index=row.index,
        category=row.category,
        response=response,
        extracted=extracted or "",
        answer=row.answer,
        verdict=verdict.verdict,
        rule=verdict.rule,
        num_tokens=num_tokens,
        truncated=truncated,
    )


def check(row: TextRow) -> None:
    """Raises ValueError, with the column, for a row without a gold answer."""
    if not row["answer"]:
        raise ValueError("column 'answer': empty")


def question_text(row: TextRow) -> str:
    """What a policy is asked, R1-VL or another: see `prompt_text`."""
    return asked(row["question"], _choices(row))


plain_text = question_text


def find_answer(response: str) -> str:
    """The text of the answer section, empty without one.

    >>> find_answer("### The final answer is: 14"), find_answer("14")
    ('14', '')
    """
    answer = paths.parse(response).answer
    return answer.text if answer is not None else ""


def strict(row: TextRow, response: str) -> Ruling:
    """As `judge` does."""
    extracted = find_answer(response)
    verdict = answers.is_correct(extracted, row["answer"], Choices(_choices(row)))
    return Ruling(extracted, verdict.verdict == "correct", verdict.rule)


def sum_up(judged: Judged) -> Totals:
    """Percent right overall and by family of questions."""
    return Totals(overall(judged), {"overall": overall(judged), "category": by_column(judged, "category")})


def _choices(row: TextRow) -> tuple[tuple[str, str], ...]:
    return tuple((letter, row[letter]) for letter in ascii_uppercase if row.get(letter))
