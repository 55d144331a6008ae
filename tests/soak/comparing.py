"""What two runs of the same training do not have in common, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

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
    found = differences_of_weights(newest / "weights.safetensors", other / "weights.safetensors")
    mine, theirs = (torch.load(path / "state.pt", weights_only=True) for path in (newest, other))
    return [f"{newest.name}: {name}" for name in [*found, *(name for name in theirs if not same(mine[name], theirs[name]))]]


def differences_at_the_end(folder: Path, run: str) -> list[str]:
    """What a finished run does not have in common with the undisturbed one."""
    mine, theirs = folder / run / "out", folder / "whole" / "out"
    found = differences_of_checkpoints(folder, run)
    found += differences_of_weights(mine / "policy/model.safetensors", theirs / "policy/model.safetensors")
    compared = [str(path.relative_to(theirs)) for path in sorted((theirs / FOLDER).glob("*"))]
    found += [name for name in compared if (mine / name).read_bytes() != (theirs / name).read_bytes()]
    return [*found, *differences_of_metrics(mine, theirs)]


def differences_of_weights(mine: Path, theirs: Path) -> list[str]:
    """Whether two files of tensors differ: in how many of them, and by how much at most."""
    if mine.read_bytes() == theirs.read_bytes():
        return []
    one, other = load_file(mine), load_file(theirs)
    if one.keys() != other.keys():
        return ["weights: other tensors"]
    gaps = {name: float((one[name] - other[name]).abs().max()) for name in one if not same(one[name], other[name])}
    worst = max(gaps, key=lambda name: gaps[name], default="nothing but the header")
    return [f"weights: {len(gaps)} of {len(one)} tensors, up to {gaps.get(worst, 0.0):.3g} in {worst}"]


def differences_of_metrics(mine: Path, theirs: Path) -> list[str]:
    """The first step whose metrics differ, less those of the machine, and those metrics."""
    reports = [[(report.step, repeatable(report.metrics)) for report in read_reports(place)] for place in (mine, theirs)]
    if len(reports[0]) != len(reports[1]):
        return [f"metrics: {len(reports[0])} steps and {len(reports[1])}"]
    for (step, one), (_, other) in zip(*reports, strict=True):
        names = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
        if names:
            return [f"metrics from step {step} on: " + ", ".join(f"{name} {one.get(name)} {other.get(name)}" for name in sorted(names))]
    return []


def same(one: Any, other: Any) -> bool:
    """Equal to the bit, tensors within tables and lists included."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and one.numpy().tobytes() == other.numpy().tobytes()
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
