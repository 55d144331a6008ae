"""Which preset, with what laid over it: names, files and `--set` as people give them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from r1vl_core.config import Preset, load_preset

PRESETS = Path(__file__).parent / "presets"


def preset_names() -> list[str]:
    """The bundled presets."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def choose(preset: str, overrides: Mapping[str, Any] | None = None, seed: int | None = None, *, given_by: str = "override") -> Preset:
    """The preset of this name, or in this TOML file, with dotted overrides ("stepgrpo.alpha": 0.2) and a seed laid over it.

    Raises ValueError naming the preset, the file or the override (by the name `given_by`), and the cure.
    """
    return load_preset(_file_of(preset), overrides, seed, given_by=given_by)


def is_file_name(preset: str) -> bool:
    """Whether this names a file of the user's, not a bundled preset."""
    return preset.endswith(".toml") or "/" in preset


def from_here(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides for a process that stands in another folder: those that name files made absolute."""
    anchored = dict(overrides)
    model = overrides.get("model")
    for key in ("evaluate.data", "key_steps.laid_over"):
        if isinstance(overrides.get(key), str):
            anchored[key] = str(Path(overrides[key]).expanduser().absolute())
    if isinstance(model, str) and Path(model).expanduser().is_dir():
        anchored["model"] = str(Path(model).expanduser().absolute())
    return anchored


def _file_of(preset: str) -> Path:
    if is_file_name(preset):
        return Path(preset)
    if preset not in preset_names():
        near = get_close_matches(preset, preset_names(), n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"no preset named {preset!r}; {meant}there are {', '.join(preset_names())}, or give the path of a .toml file")
    return PRESETS / f"{preset}.toml"


def parse_settings(settings: Iterable[str], option: str = "--set", example: str = "stepgrpo.alpha=0.2") -> dict[str, Any]:
    """Turn `key=value` texts into overrides; a value is read as JSON where it is JSON, and is text otherwise.

    Raises ValueError, by the `option`'s name, for a text without "=" and for a key given twice.

    >>> parse_settings(["stepgrpo.alpha=0.2", "model=./checkpoint"])
    {'stepgrpo.alpha': 0.2, 'model': './checkpoint'}
    """
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise ValueError(f"{option} {setting}: write it as key=value, for example {option} {example}")
        if key in overrides:
            raise ValueError(f"{option} {key} is given twice")
        overrides[key] = _value(value)
    return overrides


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
