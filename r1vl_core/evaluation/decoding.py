"""How responses come about; apart from the code that makes them, so that whoever only asks loads no model library."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decoding:
    """How responses come about: greedily, or `num_samples` drawn at a `temperature`; `seed` and the question's key decide the draws.

    >>> Decoding(144).temperature is None
    True
    """

    max_new_tokens: int
    num_samples: int = 1
    temperature: float | None = None
    seed: int = 0
