"""How the lead over TRL grows: draws `figures.json` of `step_time.py` in the given folder as `step_time.png`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot


def main(folder: Path) -> None:
    """Draw the ratio of processor seconds over group size and prompt length; wall time suffers more from others on the same cores."""
    figures = json.loads((folder / "figures.json").read_text())
    wanted = [
        (name, label)
        for name, label in (("groups", "paths a question (prompt of 274 tokens)"), ("lengths", "prompt tokens (8 paths a question)"))
        if name in figures
    ]
    figure, axes = pyplot.subplots(1, len(wanted), figsize=(5 * len(wanted), 3.6), squeeze=False, layout="constrained")
    for axis, (name, label) in zip(axes[0], wanted, strict=True):
        rows = sorted(figures[name], key=lambda row, name=name: place(row, name))  # type: ignore[misc]
        axis.plot([place(row, name) for row in rows], [row["trl"]["cpu"] / row["ours"]["cpu"] for row in rows], marker="o")
        axis.axhline(1, color="grey", linewidth=0.8)
        axis.set(xlabel=label, ylabel="TRL's CPU seconds a step / ours", ylim=(0, None))
    figure.savefig(folder / "step_time.png", dpi=120)


def place(row: dict[str, Any], name: str) -> int:
    """Where a case stands on its axis."""
    return int(row["case"]["group_size"] if name == "groups" else row["prompt_tokens"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
