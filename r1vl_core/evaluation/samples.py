"""Several responses to one question: what the best of k would come to, and what most of them say."""

from __future__ import annotations

import math
from collections.abc import Sequence

from r1vl_core.evaluation.benchmarks.strict import Choices, find_answer
from r1vl_core.reasoning.answers import is_correct


def pass_at(k: int, num_samples: int, num_correct: int) -> float:
    """The chance that one of k responses drawn from these without replacement is right (Chen et al. 2021): unbiased for any k samples.

    Raises ValueError for counts that are none, and for more responses than there are.

    >>> pass_at(1, 4, 1), pass_at(2, 4, 1), pass_at(4, 4, 0)
    (0.25, 0.5, 0.0)
    """
    if not 0 <= num_correct <= num_samples or not 1 <= k <= num_samples:
        raise ValueError(f"pass@{k} of {num_samples} responses, {num_correct} of them right: give at least k responses")
    return 1 - math.comb(num_samples - num_correct, k) / math.comb(num_samples, k)


def ks(num_samples: int) -> list[int]:
    """The k worth telling: powers of two, and all.

    >>> ks(6)
    [1, 2, 4, 6]
    """
    return sorted({2**power for power in range(num_samples.bit_length()) if 2**power <= num_samples} | {num_samples})


def majority(responses: Sequence[str], choices: tuple[tuple[str, str], ...] = ()) -> int:
    """Place of the first response whose answer most of the responses give; the earlier answer of two that are as frequent.

    Answers are the same where one would be right if the other were the gold one, either way round. One without an answer has no vote.

    >>> majority(["The final answer is: 12", "The final answer is: 1/2", "The final answer is: 0.5"])
    1
    """
    answers = [find_answer(response) for response in responses]
    votes: dict[int, int] = {}
    for place, answer in enumerate(answers):
        if answer.strip():
            first = next((other for other in votes if _same(answer, answers[other], choices)), place)
            votes[first] = votes.get(first, 0) + 1
    return max(votes, key=lambda place: votes[place]) if votes else 0


def _same(one: str, other: str, choices: tuple[tuple[str, str], ...]) -> bool:
    question = Choices(choices)
    return is_correct(one, other, question).verdict == "correct" or is_correct(other, one, question).verdict == "correct"
