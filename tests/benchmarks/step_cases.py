"""The cases of `step_time.py` and `gpu_step.py`: what both sides train."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement: P questions x M paths of up to `max_new_tokens`, square pictures of `side` pixels, `num_words` a question.

    `shape` is a model of `step_models.py`. With `fixed_length` no path ends before it is as long as it may be. `precision` is the
    runtime's, `lora` trains adapters alone, and TRL computes `micro_rows` paths at once (0: all; ours goes by its token budget).

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
    shape: str = "small"
    fixed_length: bool = False
    precision: str = "fp32"
    lora: bool = False
    micro_rows: int = 0


HEADLINE = (Case("long prompt, 225 visual tokens", side=420), Case("short prompt, 9 visual tokens", side=84))
"""The two rows of the README."""

MEMORY = (Case("long prompt, 152k vocabulary", side=420, vocab_size=151_936, num_steps=2),)

GROUPS = tuple(Case(f"{size} paths a question", side=420, group_size=size, num_steps=3) for size in (2, 4, 8, 16))

LENGTHS = tuple(
    Case(f"{28 * side} px, {num_words} words", side=28 * side, num_words=num_words, num_steps=3)
    for side, num_words in ((2, 1), (5, 10), (10, 30), (15, 100), (20, 300), (28, 200))
)
"""Prompts from a few tokens to about a thousand."""

_REAL = {"side": 644, "num_words": 100, "max_new_tokens": 512, "fixed_length": True, "precision": "bf16", "num_steps": 2, "micro_rows": 8}
_SIZES = ((16, 4), (32, 8))

SHAPES = {
    "tiny": (Case("tiny, 2 x 2", 56, 3, 2, 2, 70, num_steps=2, shape="tiny", fixed_length=True),),
    "2b": tuple(Case(f"2B, {p} x {m}", num_questions=p, group_size=m, shape="2b", **_REAL) for p, m in _SIZES),  # type: ignore[arg-type]
    "7b": tuple(
        Case(f"7B with adapters, {p} x {m}", num_questions=p, group_size=m, shape="7b", lora=True, **_REAL)  # type: ignore[arg-type]
        for p, m in _SIZES
    ),
}
"""The cases of `gpu_step.py`, 529 visual tokens in each prompt. Of 7B adapters are trained: fp32 weights, gradients, AdamW states
and a reference would take 165 GB."""
