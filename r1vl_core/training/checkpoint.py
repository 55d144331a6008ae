"""Save and resume a training run: a checkpoint is whole or it is not there.

A checkpoint folder `step-000040` holds `weights.safetensors` (those that are trained), `state.pt` (optimiser, data position, random
states, our own values only, read with `weights_only=True`) and `whole.json` (the size of every file). It is written beside, flushed to
disk and renamed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from r1vl_core.policy.sharding import gathered_weights, sharded_like
from r1vl_core.report import Report
from r1vl_core.training.order import Stream

_NAME = re.compile(r"step-\d{6}")


@dataclass(frozen=True, slots=True)
class State:
    """All that a step changes, beside torch's random states: what a checkpoint holds.

    >>> State.__slots__
    ('model', 'optimizer', 'stream')
    """

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    stream: Stream


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of one run in `folder`; `run` says which run (settings and seed), `keep` how many are kept.

    >>> Checkpoints(Path("work"), run={"seed": 0}, keep=2).newest() is None
    True
    """

    folder: Path
    run: dict[str, Any]
    keep: int = 2

    def newest(self) -> Path | None:
        """The newest whole checkpoint, or None."""
        names = sorted((p.name for p in self.folder.glob("step-*") if _NAME.fullmatch(p.name)), reverse=True)
        return next((self.folder / name for name in names if _is_whole(self.folder / name)), None)

    def save(self, step: int, state: State, *, writes: bool = True) -> Path:
        """Write the state after `step` steps and drop checkpoints beyond `keep`.

        Where the model is sharded every process calls, for shards are gathered, and one `writes`: what is written does not depend on
        how many processes there are. Raises OSError when it cannot be written (a full disk); older checkpoints are then as they were.
        """
        target = self.folder / f"step-{step:06d}"
        weights, optimizer = _gathered(state, keep=writes)
        if not writes:
            return target
        partial = self.folder / f".partial-{step:06d}"
        for leftover in [*self.folder.glob(".partial-*"), target]:
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            save_file(weights, partial / "weights.safetensors")
            values = {"optimizer": optimizer, "position": state.stream.position, "random": _random_states()}
            torch.save({"step": step, "run": self.run, **values}, partial / "state.pt")
            _close(partial)
        except (OSError, RuntimeError, SafetensorError) as error:  # each writer has its own way to say that the disk is full
            shutil.rmtree(partial, ignore_errors=True)
            raise OSError(f"cannot write checkpoint {target}: {error}; make room and run again, it resumes where it last saved") from error
        partial.rename(target)
        _flush(self.folder)
        for old in sorted(p for p in self.folder.glob("step-*") if _NAME.fullmatch(p.name))[: -self.keep]:
            shutil.rmtree(old)
        return target

    def restore(self, state: State) -> int:
        """Load the newest whole checkpoint into `state`; the number of steps done, 0 when there is none.

        Raises ValueError when the folder holds another run's checkpoints.
        """
        newest = self.newest()
        if newest is None:
            return 0
        saved = torch.load(newest / "state.pt", weights_only=True, map_location="cpu")
        if saved["run"] != self.run:
            differing = sorted(k for k in {*saved["run"], *self.run} if saved["run"].get(k) != self.run.get(k))
            raise ValueError(f"{newest}: a checkpoint of another run ({', '.join(differing)} differ); empty the folder to start anew")
        _load_weights(newest / "weights.safetensors", state.model)
        state.optimizer.load_state_dict(_as_held(saved["optimizer"], state.optimizer))
        state.stream.position = saved["position"]
        _set_random_states(saved["random"])
        return int(saved["step"])


def append_report(folder: Path, report: Report) -> None:
    """Add a report to the run's own record, `reports.jsonl`."""
    with (folder / "reports.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(report), ensure_ascii=False) + "\n")


def read_reports(folder: Path) -> Iterator[Report]:
    """All reports of a run so far, those from before a resume included; a line cut by a crash ends the reading."""
    path = folder / "reports.jsonl"
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n"):
                return
            row = json.loads(line)
            yield Report(row["step"], row["num_steps"], row["metrics"], tuple(row["samples"]))


def cut_reports(folder: Path, step: int) -> None:
    """Forget reports of steps after `step`, which a resumed run will take again."""
    path = folder / "reports.jsonl"
    if not path.exists():
        return
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        for report in read_reports(folder):
            if report.step <= step:
                file.write(json.dumps(asdict(report), ensure_ascii=False) + "\n")
    partial.replace(path)


def _gathered(state: State, *, keep: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Trained weights and optimiser state, whole; empty unless `keep`."""
    weights = gathered_weights(_trained(state.model), keep=keep)
    optimizer = state.optimizer.state_dict()
    optimizer["state"] = {number: gathered_weights(values, keep=keep) for number, values in optimizer["state"].items()}
    return {name: weight.contiguous() for name, weight in weights.items()}, optimizer


def _as_held(optimizer_state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """A whole optimiser state as this process holds it: what has a parameter's shape is sharded as that parameter is."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    held = {
        number: {
            name: sharded_like(value, parameters[number]) if value.shape == parameters[number].shape else value
            for name, value in values.items()
        }
        for number, values in optimizer_state["state"].items()
    }
    return {**optimizer_state, "state": held}


def _close(folder: Path) -> None:
    """Say which files there are and flush them: now it is whole."""
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    (folder / "whole.json").write_text(json.dumps(sizes))
    for path in folder.iterdir():
        _flush(path)
    _flush(folder)


def _is_whole(folder: Path) -> bool:
    listing = folder / "whole.json"
    if not listing.is_file():
        return False
    sizes = json.loads(listing.read_text())
    return all((folder / name).is_file() and (folder / name).stat().st_size == size for name, size in sizes.items())


def _load_weights(path: Path, model: torch.nn.Module) -> None:
    weights = load_file(path)
    parameters = _trained(model)
    if weights.keys() != parameters.keys():
        raise ValueError(f"{path}: holds the weights of another model; empty the folder to start anew")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(sharded_like(weights[name], parameter))


def _trained(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    # What is frozen comes from the policy a run starts from; with adapters that is all but a hundredth of it.
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _random_states() -> dict[str, Any]:
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}


def _set_random_states(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["cpu"])
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
