"""Which policy is asked: a checkpoint in a folder, the StepGRPO policy made last, or that of a preset, each as it was trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flows.results import read_result
from r1vl_core.config import BUNDLED_MODEL, Preset, StepGRPO
from r1vl_core.policy.bundled import bundled_checkpoint
from tasks.files import BrokenArtifact
from tasks.store import Artifact, Store


@dataclass(frozen=True)
class Answering:
    """A policy's checkpoint, and what it is asked with: prompt template, largest picture in pixels, longest answer in tokens.

    `artifact` is the one it lies in, None for a folder of the user's.
    """

    checkpoint: Path
    prompt: str
    max_pixels: int
    max_new_tokens: int
    artifact: Artifact | None = None


def given(model: Path, root: Path, given_by: str) -> Answering:
    """The checkpoint in a folder of the user's, or in the store, asked as it was trained then.

    A name of the hub's is refused: what is there has not been trained here.
    """
    folder = Path(bundled_checkpoint(model))
    if not folder.is_dir():
        raise ValueError(f"{given_by} {model}: no such folder; give the folder of a checkpoint, or leave it out for the policy made last")
    if not (folder / "config.json").is_file():
        raise ValueError(f"{given_by} {model}: no checkpoint, for it holds no config.json; give the folder that does")
    for artifact in Store(root).artifacts():
        if artifact.path.resolve() == folder.resolve().parent:
            return _trained_here(artifact, folder)
    preset, stepgrpo = Preset.model_fields, StepGRPO.model_fields
    prompt = "plain" if str(model) == BUNDLED_MODEL else preset["prompt"].default  # what it was trained with
    return Answering(folder, prompt, preset["max_pixels"].default, stepgrpo["max_new_tokens"].default)


def made_last(root: Path) -> Answering:
    """The StepGRPO policy made last, asked as it was trained."""
    artifact = Store(root).latest("stepgrpo")
    if artifact is None:
        raise ValueError(f"no trained policy under {root}; run the pipeline first (`r1vl run tiny`) or name a checkpoint with --model")
    return _trained_here(artifact, artifact.path / str(artifact.notes["checkpoint"]))


def made_last_of(preset: str, root: Path) -> Answering:
    """The StepGRPO policy that runs of a preset made last, asked as it was trained. Raises ValueError where there is none."""
    made = sorted(_made_by(preset, root), key=lambda artifact: str(artifact.made["created"]))
    if not made:
        raise ValueError(
            f"no StepGRPO policy of preset {preset} under {root}; run it first (`r1vl run {preset}`), or give a checkpoint's folder"
        )
    return _trained_here(made[-1], made[-1].path / str(made[-1].notes["checkpoint"]))


def _made_by(preset: str, root: Path) -> Iterator[Artifact]:
    store = Store(root)
    for path in (root / "runs").glob("*.json"):
        result = read_result(root, path.stem)
        if result.preset == preset and "stepgrpo" in result.stages:
            try:
                yield store.read(result.stages["stepgrpo"].key, "size")
            except (BrokenArtifact, FileNotFoundError):  # removed since
                continue


def _trained_here(artifact: Artifact, checkpoint: Path) -> Answering:
    """A policy of the store's, asked as it was trained."""
    (prompt,) = artifact.recipe.prompts
    settings = artifact.recipe.settings
    longest = settings.get("max_new_tokens", StepGRPO.model_fields["max_new_tokens"].default)  # warm-up samples nothing
    return Answering(checkpoint, prompt, int(settings["max_pixels"]), int(longest), artifact)
