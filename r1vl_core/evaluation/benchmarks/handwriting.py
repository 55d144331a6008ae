"""Our own handwriting world as a benchmark: how it asks, where the answer stands, what is right.

The file is the toolkit's TSV with columns index, question, image, answer, category and one column a choice.
"""

from __future__ import annotations

from r1vl_core.reasoning import answers, paths
from r1vl_core.records import BenchmarkRow, ScoredResponse, asked


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
