"""Where a preset's start checkpoint lies, and its digest."""

from __future__ import annotations

from pathlib import Path

from r1vl_core.config import Preset
from tasks.inputs import Inputs

_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt")


def find_checkpoint(preset: Preset) -> Path:
    """Folder of the start checkpoint; a hub name is downloaded (safetensors only) unless it is cached. Raises ValueError."""
    from r1vl_core.policy.model import bundled_checkpoint

    folder = Path(bundled_checkpoint(preset.model))
    if folder.is_dir():
        if not any(folder.glob("*.safetensors")):
            raise ValueError(f"model {folder}: no safetensors file in it; pickled weights are never loaded, save them with save_pretrained")
        return folder
    if preset.model.count("/") != 1 or preset.model.startswith((".", "/", "~")):
        raise ValueError(f"model {preset.model}: no such folder, and not a hub name of the form owner/name")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(preset.model, allow_patterns=list(_FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"model {preset.model}: neither a folder nor to be had from the hub: {reason}") from error


def digest_checkpoint(preset: Preset, inputs: Inputs) -> str:
    """Content digest of the start checkpoint's folder."""
    return inputs.folder(find_checkpoint(preset))
