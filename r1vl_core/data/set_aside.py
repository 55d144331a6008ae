"""Questions that no training sees, for validation while training."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator

from r1vl_core.records import Question, Rejected


class Lots:
    """Draws `count` questions to validate on out of all that pass.

    The draw goes by the questions' ids alone: every seed of a training, and a file with its rows in another order, validate on the same.
    Another question about the same picture may stay among those to train on.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._num_questions = 0
        # The lowest lots so far, the highest of them first: lots as negative numbers, which is the order a heap keeps.
        self._lowest: list[tuple[int, str]] = []

    def seen(self, outcomes: Iterable[Question | Rejected]) -> Iterator[Question | Rejected]:
        """The same outcomes; memory holds the ids drawn so far."""
        for outcome in outcomes:
            if isinstance(outcome, Question):
                self._num_questions += 1
                lot = (-_lot(outcome.id), outcome.id)
                if len(self._lowest) < self._count:
                    heapq.heappush(self._lowest, lot)
                else:
                    heapq.heappushpop(self._lowest, lot)
            yield outcome

    def drawn(self) -> set[str]:
        """Ids of the questions drawn out of those that have passed. Raises ValueError when none would be left to train on."""
        if self._count and self._count >= self._num_questions:
            raise ValueError(f"curate.eval_questions is {self._count}, but there are {self._num_questions} questions; set aside fewer")
        return {question_id for _, question_id in self._lowest}


def _lot(question_id: str) -> int:
    return int(hashlib.sha256(f"validation {question_id}".encode()).hexdigest(), 16)
