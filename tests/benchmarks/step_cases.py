"""The cases of `step_time.py`: what both sides train."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement: P questions x M paths of up to `max_new_tokens`, square pictures of `side` pixels, `num_words` a question.

    >>> Case("long prompt").num_questions * Case("long prompt").group_size
    64
    """

    name: str
    side: int = 420
    num_words: int = 10
    num_questions: int = 8
    group_size: int = 8
    max_new_tokens: int = 96
    vocab_size: int = 0
    num_steps: int = 5


HEADLINE = (Case("long prompt, 225 visual tokens", side=420), Case("short prompt, 9 visual tokens", side=84))
"""The two rows of the README."""

MEMORY = (Case("long prompt, 152k vocabulary", side=420, vocab_size=151_936, num_steps=2),)

GROUPS = tuple(Case(f"{size} paths a question", side=420, group_size=size, num_steps=3) for size in (2, 4, 8, 16))

LENGTHS = tuple(
    Case(f"{28 * side} px, {num_words} words", side=28 * side, num_words=num_words, num_steps=3)
    for side, num_words in ((2, 1), (5, 10), (10, 30), (15, 100), (20, 300), (28, 200))
)
"""Prompts from a few tokens to about a thousand."""
