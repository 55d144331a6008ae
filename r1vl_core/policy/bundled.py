"""Where the bundled checkpoint lies; apart from the model's code, so that asking does not load torch."""

from __future__ import annotations

from pathlib import Path

from r1vl_core.config import BUNDLED_MODEL


def bundled_checkpoint(checkpoint: str | Path) -> str | Path:
    """The folder of the bundled `r1vl-tiny` for that name, any other name as it is."""
    if str(checkpoint) == BUNDLED_MODEL:
        return Path(__file__).parents[1] / "handwriting" / BUNDLED_MODEL
    return checkpoint
