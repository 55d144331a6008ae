"""Where a preset's start checkpoint lies, and its digest."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from r1vl_core.config import Lora, Preset
from r1vl_core.policy.bundled import bundled_checkpoint
from r1vl_core.policy.checkpoint_files import check_checkpoint
from tasks.inputs import Inputs

_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt")


class NotFetched(Exception):
    """The start checkpoint is on the hub, not here, and was not to be downloaded."""


def find_checkpoint(preset: Preset, *, download: bool = True) -> Path:
    """Folder of the start checkpoint; a hub name is downloaded (safetensors only) unless it is cached.

    Raises ValueError for a model that is not to be had or not whole, NotFetched for one that is yet to be downloaded, without `download`.
    """
    folder = Path(bundled_checkpoint(preset.model))
    if folder.is_dir():
        check_checkpoint(folder)
        return folder
    if preset.model.count("/") != 1 or preset.model.startswith((".", "/", "~")):
        raise ValueError(f"model {preset.model}: no such folder, and not a hub name of the form owner/name")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(preset.model, allow_patterns=list(_FILES), local_files_only=not download))
    except LocalEntryNotFoundError as error:
        if download:
            raise ValueError(_not_to_be_had(preset.model, error)) from error
        raise NotFetched(preset.model) from error
    except (HfHubHTTPError, OSError) as error:
        raise ValueError(_not_to_be_had(preset.model, error)) from error
    check_checkpoint(folder)
    return folder


def check_model(preset: Preset) -> None:
    """Look at the start checkpoint where it is at hand. Raises ValueError as `find_checkpoint`; nothing is downloaded."""
    with suppress(NotFetched):
        find_checkpoint(preset, download=False)


def check_lora(preset: Preset, stage: str, lora: Lora) -> None:
    """Whether the start checkpoint, where it is at hand, has the layers that the stage's adapters go on, and peft is here.

    Raises ValueError; a run would otherwise find out when the stages before are built.
    """
    from r1vl_core.policy.model import load_policy
    from r1vl_core.training.adapters import check_adapters

    with suppress(NotFetched):
        folder = find_checkpoint(preset, download=False)
        model = load_policy(folder, prompt=preset.prompt, max_pixels=preset.max_pixels, weights=False).model
        try:
            check_adapters(lora, model)
        except ValueError as error:
            raise ValueError(f"{stage}.{error}") from None


def digest_checkpoint(preset: Preset, inputs: Inputs) -> str:
    """Content digest of the start checkpoint's folder; while only planning, a word for a checkpoint that is still to be downloaded."""
    try:
        return inputs.folder(find_checkpoint(preset, download=not inputs.planning))
    except NotFetched:
        return "not downloaded yet"


def _not_to_be_had(model: str, error: Exception) -> str:
    return f"model {model}: neither a folder nor to be had from the hub: {str(error).strip().splitlines()[0]}"
