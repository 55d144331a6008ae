"""What two runs of the same training do not have in common, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from r1vl_core.data.rollouts import FOLDER
from r1vl_core.report import repeatable
from r1vl_core.training.checkpoint import Checkpoints
from tasks.reports import read_reports


def differences_of_checkpoints(folder: Path, run: str) -> list[str]:
    """What the newest whole checkpoint of a run, under `folder`, does not have in common with the undisturbed run's of the same step."""
    newest = Checkpoints(folder / run / "work", {}).newest()
    if newest is None:
        return []
    other = folder / "kept" / newest.name
    found = [] if (newest / "weights.safetensors").read_bytes() == (other / "weights.safetensors").read_bytes() else ["weights"]
    mine, theirs = (torch.load(path / "state.pt", weights_only=True) for path in (newest, other))
    return [f"{newest.name}: {name}" for name in [*found, *(name for name in theirs if not same(mine[name], theirs[name]))]]


def differences_at_the_end(folder: Path, run: str) -> list[str]:
    """What a finished run does not have in common with the undisturbed one."""
    mine, theirs = folder / run / "out", folder / "whole" / "out"
    found = differences_of_checkpoints(folder, run)
    compared = ["policy/model.safetensors", *(str(path.relative_to(theirs)) for path in sorted((theirs / FOLDER).glob("*")))]
    found += [name for name in compared if (mine / name).read_bytes() != (theirs / name).read_bytes()]
    reports = [[(report.step, repeatable(report.metrics)) for report in read_reports(place)] for place in (mine, theirs)]
    return found if reports[0] == reports[1] else [*found, "metrics"]


def same(one: Any, other: Any) -> bool:
    """Equal to the bit, tensors within tables and lists included."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and one.numpy().tobytes() == other.numpy().tobytes()
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
