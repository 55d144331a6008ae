"""The names that settings are chosen from."""

from __future__ import annotations

from typing import Literal

STAGES = ("curate", "key_steps", "warmup", "difficulty", "stepgrpo", "evaluate", "report")
"""The pipeline's stages in the order they depend on each other; `difficulty` only where a preset has it."""

BUNDLED_MODEL = "r1vl-tiny"
"""The checkpoint that comes with the package."""

StageName = Literal["curate", "key_steps", "warmup", "difficulty", "stepgrpo", "evaluate", "report"]

Hardening = Literal["none", "strict"]
"""Which definition of the rewards: the paper's, or the one that is harder to fool (`r1vl_core/reasoning/hardening.py`)."""


Precision = Literal["auto", "fp32", "bf16"]

Decode = Literal["eager", "graphs"]
"""How responses are sampled (`r1vl_core/policy/fixed_decode.py`)."""

Schedule = Literal["cosine", "linear", "constant"]
"""The learning rate's way after it has risen (`r1vl_core/training/schedule.py`)."""
