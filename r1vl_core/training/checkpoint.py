"""Save and resume a training run: a checkpoint is whole or it is not there.

A checkpoint folder `step-000040` holds `weights.safetensors` (those that are trained), `state.pt` (optimiser, data position, random
states, our own values only, read with `weights_only=True`) and `whole.json` (size and digest of every file). It is written beside, flushed
to disk and renamed. What lacks bytes is passed over, by its sizes; what holds other bytes than were written is refused when it is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from r1vl_core.policy.sharding import gathered_weights, sharded_like
from r1vl_core.report import Report
from r1vl_core.training.order import Stream

FORMAT = 2
"""Raised by hand when what a checkpoint holds changes its meaning; one of another format is refused, never guessed at."""

_NAME = re.compile(r"step-\d{6}")
_WEIGHTS, _STATE, _WHOLE = "weights.safetensors", "state.pt", "whole.json"
_CURE = "empty the folder to start anew"
_CURE_OF_DAMAGE = "delete it to go on from the checkpoint before it, or from the start if there is none"


@dataclass(frozen=True, slots=True)
class State:
    """All that a step changes, beside torch's random states: what a checkpoint holds.

    `notes` are what a run has found out about itself, plain values by name. The checkpoints of two steps named in it are kept whatever
    comes after: `best_step` and `good_step`.

    >>> State.__slots__
    ('model', 'optimizer', 'stream', 'notes')
    """

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    stream: Stream
    notes: dict[str, Any] = field(default_factory=dict)


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
        return next((path for path in reversed(self._all()) if _is_whole(path)), None)

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
            save_file(weights, partial / _WEIGHTS)
            values = {"optimizer": optimizer, "position": state.stream.position, "notes": state.notes, "random": _random_states()}
            torch.save({"format": FORMAT, "step": step, "run": self.run, **values}, partial / _STATE)
            _close(partial)
        except (OSError, RuntimeError, SafetensorError) as error:  # each writer has its own way to say that the disk is full
            shutil.rmtree(partial, ignore_errors=True)
            raise OSError(f"cannot write checkpoint {target}: {error}; make room and run again, it resumes where it last saved") from error
        partial.rename(target)
        _flush(self.folder)
        wanted = {f"step-{state.notes[name]:06d}" for name in ("best_step", "good_step") if name in state.notes}
        whole = [path for path in self._all() if _is_whole(path)]
        for old in {*self._all()} - {*whole[-self.keep :]}:  # a broken one must not be counted as kept
            if old.name not in wanted:
                shutil.rmtree(old)
        return target

    def restore(self, state: State) -> int:
        """Load the newest whole checkpoint into `state`; the number of steps done, 0 when there is none.

        One that is incomplete or cut short is passed over for the one before. Raises ValueError, with `state` as it was, for a checkpoint
        of another format, run, step or model, and for one that is not what was written.
        """
        newest = self.newest()
        if newest is None:
            return 0
        saved, weights = self._read(newest)
        _check_weights(newest / _WEIGHTS, weights, state.model)
        try:
            state.optimizer.load_state_dict(_as_held(saved["optimizer"], state.optimizer))
        except (ValueError, IndexError) as error:
            raise ValueError(f"{newest}: holds the optimiser of another model ({error}); {_CURE}") from None
        _load_weights(weights, state.model)
        state.stream.position = saved["position"]
        state.notes.clear()
        state.notes.update(saved.get("notes", {}))
        _set_random_states(saved["random"])
        return int(saved["step"])

    def load_weights(self, step: int, model: torch.nn.Module) -> None:
        """Give `model` the weights it had after `step` steps. Raises ValueError when that checkpoint is not kept whole."""
        folder = self.folder / f"step-{step:06d}"
        if not _is_whole(folder):
            raise ValueError(f"{folder}: the policy to hand on is not there whole; empty the folder to train anew")
        _, weights = self._read(folder)
        _check_weights(folder / _WEIGHTS, weights, model)
        _load_weights(weights, model)

    def _all(self) -> list[Path]:
        """Every checkpoint, whole or not, in order of their steps."""
        return sorted(path for path in self.folder.glob("step-*") if _NAME.fullmatch(path.name) and path.is_dir())

    def _read(self, folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """State and weights of a checkpoint of this run."""
        _check_digests(folder)
        try:
            saved = torch.load(folder / _STATE, weights_only=True, map_location="cpu")
            weights = load_file(folder / _WEIGHTS)
        except (RuntimeError, EOFError, UnpicklingError, SafetensorError) as error:  # listed so, but not by us
            first = next(iter(str(error).splitlines()), type(error).__name__)
            raise ValueError(f"{folder}: is damaged ({first}); {_CURE_OF_DAMAGE}") from None
        if not isinstance(saved, dict) or saved.get("format") != FORMAT:
            found = saved.get("format", "none") if isinstance(saved, dict) else "none"
            raise ValueError(f"{folder}: a checkpoint of format {found}, and this program reads {FORMAT}; {_CURE}")
        if saved["run"] != self.run:
            differing = sorted(k for k in {*saved["run"], *self.run} if saved["run"].get(k) != self.run.get(k))
            raise ValueError(f"{folder}: a checkpoint of another run ({', '.join(differing)} differ); {_CURE}")
        if folder.name != f"step-{saved['step']:06d}":
            raise ValueError(f"{folder}: holds step {saved['step']}; give it its own name back, or delete it")
        return saved, weights


def append_report(folder: Path, report: Report) -> None:
    """Add a report to the run's own record, `reports.jsonl`. Raises OSError when it cannot be written (a full disk)."""
    path = folder / "reports.jsonl"
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(report), ensure_ascii=False) + "\n")
    except OSError as error:
        raise OSError(f"cannot write {path}: {error}; make room and run again, it resumes where it last saved") from error


def read_reports(folder: Path) -> Iterator[Report]:
    """All reports of a run so far, those from before a resume included; a line cut by a crash ends the reading."""
    path = folder / "reports.jsonl"
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                row = json.loads(line)
                report = Report(row["step"], row["num_steps"], row["metrics"], tuple(row["samples"]))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}: a line that is no report ({error}); {_CURE}") from None
            yield report


def cut_reports(folder: Path, step: int) -> None:
    """Forget reports of steps after `step`, which a resumed run will take again. Raises ValueError when one before is missing."""
    path = folder / "reports.jsonl"
    partial = path.with_suffix(".partial")
    num_kept = 0
    with partial.open("w", encoding="utf-8") as file:
        for report in read_reports(folder):
            if report.step > step:
                break
            num_kept += 1
            file.write(json.dumps(asdict(report), ensure_ascii=False) + "\n")
    if num_kept != step:
        partial.unlink()
        raise ValueError(f"{path}: holds the reports of {num_kept} steps, but the checkpoint is of step {step}; {_CURE}")
    partial.replace(path)


def flush_reports(folder: Path) -> None:
    """Hand the reports to the disk: a checkpoint that survives a power cut must find those of all its steps."""
    _flush(folder / "reports.jsonl")


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
    listing = {path.name: {"bytes": path.stat().st_size, "sha256": _digest(path)} for path in sorted(folder.iterdir())}
    (folder / _WHOLE).write_text(json.dumps(listing))
    for path in folder.iterdir():
        _flush(path)
    _flush(folder)


def _is_whole(folder: Path) -> bool:
    """Whether every file has its size, which says whether writing came to its end."""
    try:
        listed = _listing(folder)
        # format 1 listed sizes alone; such a checkpoint is refused when it is read, not passed over
        sizes = {name: held["bytes"] if isinstance(held, dict) else held for name, held in listed.items()}
        return sizes == {name: (folder / name).stat().st_size for name in (_STATE, _WEIGHTS)}
    except (FileNotFoundError, NotADirectoryError, ValueError, AttributeError, KeyError):  # a listing cut short is no JSON
        return False


def _check_digests(folder: Path) -> None:
    for name, held in _listing(folder).items():
        if isinstance(held, dict) and _digest(folder / name) != held["sha256"]:
            raise ValueError(f"{folder}: is damaged ({name} holds other bytes than were written); {_CURE_OF_DAMAGE}")


def _listing(folder: Path) -> dict[str, Any]:
    return json.loads((folder / _WHOLE).read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_weights(path: Path, weights: dict[str, Tensor], model: torch.nn.Module) -> None:
    found = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in weights.items()}
    wanted = {name: (tuple(parameter.shape), parameter.dtype) for name, parameter in _trained(model).items()}
    differing = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    if differing:
        raise ValueError(f"{path}: holds the weights of another model ({differing[0]} differs); {_CURE}")


def _load_weights(weights: dict[str, Tensor], model: torch.nn.Module) -> None:
    with torch.no_grad():
        for name, parameter in _trained(model).items():
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
