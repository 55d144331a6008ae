"""Reads the golden tables next door: hand-worked cases that anyone can read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

_GOLDEN = Path(__file__).parents[1] / "golden"


def load(name: str) -> dict[str, Any]:
    """A golden table by its name."""
    return tomllib.loads((_GOLDEN / f"{name}.toml").read_text(encoding="utf-8"))


def step(text: str) -> str:
    """A path of one step."""
    return f"### Step 1: {text}\n"
