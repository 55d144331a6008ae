"""What a checkpoint's folder must hold, told from its files alone: nothing is loaded, and asking does not import torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

_INDEX = "model.safetensors.index.json"
_OTHER_TABLES = ("tokenizer_config.json", "preprocessor_config.json", "processor_config.json")


def check_checkpoint(folder: Path) -> None:
    """Raises ValueError naming the folder, the file and the cure unless it holds a vision-language model's configuration, whole
    safetensors files, a tokenizer with a chat template, and an image processor."""
    config = _table(folder, "config.json")
    if "vision_config" not in config or "image_token_id" not in config:
        kind = config.get("model_type", "model without model_type")
        raise ValueError(
            f"checkpoint {folder}: a {kind} is not a vision-language model we know (its config.json has no vision_config or no "
            "image_token_id); use a Qwen2-VL, Qwen2.5-VL or Qwen3-VL one"
        )
    _check_weights(folder)
    _need_one_of(folder, ("tokenizer.json", "vocab.json"), "tokenizer", "save the tokenizer there (save_pretrained)")
    _need_one_of(folder, ("preprocessor_config.json", "processor_config.json"), "image processor", "copy it from the model it was made of")
    if (folder / "tokenizer.json").exists() and "model" not in _table(folder, "tokenizer.json"):
        raise ValueError(f"checkpoint {folder}: tokenizer.json holds no tokenizer; copy the file anew")
    tables = {name: _table(folder, name) for name in _OTHER_TABLES if (folder / name).exists()}
    if "chat_template" not in tables.get("tokenizer_config.json", {}) and not (folder / "chat_template.jinja").exists():
        raise ValueError(f"checkpoint {folder}: no chat template in it; copy chat_template.jinja from the instruct model it was made of")


def _check_weights(folder: Path) -> None:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ValueError(
            f"checkpoint {folder}: no safetensors file in it; pickled weights are never loaded, save them with save_pretrained"
        )
    if (folder / _INDEX).exists():
        shards = _table(folder, _INDEX).get("weight_map")
        if not isinstance(shards, dict):
            raise ValueError(f"checkpoint {folder}: {_INDEX} has no weight_map; copy the file anew")
        if missing := sorted({str(name) for name in shards.values()} - {file.name for file in files}):
            raise ValueError(f"checkpoint {folder}: {missing[0]} is missing, which {_INDEX} names; copy the file there")
    for file in files:
        try:
            with safe_open(file, framework="numpy"):  # reads the header, and holds the file's length against it
                pass
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"checkpoint {folder}: {file.name} ({file.stat().st_size} bytes) is cut off or damaged ({error}); copy or download it anew"
            ) from None


def _need_one_of(folder: Path, names: tuple[str, ...], what: str, cure: str) -> None:
    if not any((folder / name).exists() for name in names):
        raise ValueError(f"checkpoint {folder}: no {what} in it ({' or '.join(names)}); {cure}")


def _table(folder: Path, name: str) -> dict[str, Any]:
    try:
        table = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"checkpoint {folder}: no {name} in it; name the folder of a whole checkpoint") from None
    except OSError as error:
        raise ValueError(f"checkpoint {folder}: {name} cannot be read: {error.strerror}; give yourself permission") from None
    except ValueError as error:  # no JSON, or bytes that are not UTF-8
        raise ValueError(f"checkpoint {folder}: {name} is damaged ({error}); copy the file anew") from None
    if not isinstance(table, dict):
        raise ValueError(f"checkpoint {folder}: {name} holds no JSON object; copy the file anew")
    return table
