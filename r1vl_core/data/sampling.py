"""Drawing questions for a training: seeded, each source with its share, and a smaller draw always part of a larger one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from r1vl_core.records import Question


def draw(questions: Sequence[Question], size: int, weights: Mapping[str, float], seed: int) -> list[Question]:
    """`size` of the questions, in the order given; all of them where `size` is 0 or not below their number.

    A source gives as many as its weight times its number of questions says (a source without a weight has 1), to within one question and
    as long as it has any. Which they are goes by the questions' ids: rows in another order, and other sources beside, change no source's
    own order of drawing. Of two draws with one seed the smaller is part of the larger.
    """
    if size == 0 or size >= len(questions):
        return list(questions)
    by_source: dict[str, list[int]] = {}
    for at, question in enumerate(questions):
        by_source.setdefault(question.source, []).append(at)
    queue: list[tuple[float, str, int]] = []
    for source, places in by_source.items():
        share = weights.get(source, 1.0) * len(places)
        places.sort(key=lambda at: _lot(questions[at].id, seed))
        # A source's questions stand at even distances on one line for all: the first so many of the line are the draw.
        queue += [((number + 0.5) / share, source, at) for number, at in enumerate(places)]
    drawn = sorted(at for _, _, at in sorted(queue)[:size])
    return [questions[at] for at in drawn]


def _lot(question_id: str, seed: int) -> str:
    return hashlib.sha256(f"draw {seed} {question_id}".encode()).hexdigest()
