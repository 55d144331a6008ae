"""A preset file is read, single settings are laid over it, and each mistake is told where it was made: in the file, or in a setting."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from r1vl_core.config.dials import Preset
from r1vl_core.config.mistakes import explain, is_setting, nearest
from r1vl_core.config.names import BUNDLED_MODEL


def load_preset(path: Path, overrides: Mapping[str, Any] | None = None, seed: int | None = None, *, given_by: str = "override") -> Preset:
    """Read a TOML preset and lay dotted `overrides` ("stepgrpo.alpha": 0.2) and a seed over it; `given_by` is what messages call them.

    Relative paths in the file start at the file's folder, those in `overrides` where the caller stands.

    Raises ValueError naming the file or the override, the key and the cure for anything a user got wrong.
    """
    table = _read(path)
    given = dict(overrides or {})
    check_keys(given, given_by)
    if seed is not None:
        if "seed" in given:
            raise ValueError(f"{_spelled(given_by, 'seed', given['seed'])}: the seed {seed} is given as well; give one of them")
        given["seed"] = seed
    try:
        return Preset.model_validate(_laid_over(table, given, path))
    except ValidationError as error:
        of_file = _defects(table)
        in_file = [_told(each) for each in error.errors() if _defect(each) in of_file]
        others = [each for each in error.errors() if _defect(each) not in of_file]
        without = {key: _defects(_laid_over(table, {name: given[name] for name in given if name != key}, path)) for key in given if others}
        of_overrides = [_blamed(each, given, without, given_by) for each in others]
        raise ValueError("; ".join([*([f"{path}: {'; '.join(in_file)}"] if in_file else []), *of_overrides])) from None


def parse_preset(table: dict[str, Any], where: str) -> Preset:
    """Validate a table; every defect in one message, each with its dotted key. Raises ValueError."""
    try:
        return Preset.model_validate(table)
    except ValidationError as error:
        raise ValueError(f"{where}: {'; '.join(map(_told, error.errors()))}") from None


def check_keys(overrides: Mapping[str, Any], given_by: str = "override") -> None:
    """Whether every override names a setting. Raises ValueError naming the first that does not, and the nearest there is.

    >>> check_keys({"stepgrpo.alfa": 1}, "--set")
    Traceback (most recent call last):
    ValueError: --set stepgrpo.alfa=1: no such setting; did you mean stepgrpo.alpha?
    """
    for key, value in overrides.items():
        if key.startswith("sources."):
            raise ValueError(
                f"{_spelled(given_by, key, value)}: sources is a list, which has no single settings; write it in a preset file"
            )
        if not is_setting(key):
            raise ValueError(f"{_spelled(given_by, key, value)}: no such setting; {nearest(key)}")


def _read(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"preset file {path}: no such file") from None
    except OSError as error:
        raise ValueError(f"preset file {path}: cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"preset file {path}: not valid TOML: {error}") from None
    _anchor(table, path.absolute().parent)
    table.setdefault("name", path.stem)
    return table


def _anchor(table: dict[str, Any], folder: Path) -> None:
    """Make the file paths of a preset's table absolute, and `model` where it names a folder; what has the wrong type is told later."""
    sources, model, curate = table.get("sources"), table.get("model"), table.get("curate")
    if isinstance(curate, dict) and isinstance(files := curate.get("contamination_data"), list):
        curate["contamination_data"] = [str(folder / Path(file).expanduser()) if isinstance(file, str) else file for file in files]
    for group in [*(sources if isinstance(sources, list) else ()), table.get("key_steps"), table.get("evaluate")]:
        for key in ("path", "images", "data", "laid_over"):
            if isinstance(group, dict) and isinstance(group.get(key), str):
                group[key] = str(folder / Path(group[key]).expanduser())
    if isinstance(model, str) and model not in ("", BUNDLED_MODEL) and (folder / Path(model).expanduser()).is_dir():
        table["model"] = str(folder / Path(model).expanduser())


def _laid_over(table: dict[str, Any], overrides: Mapping[str, Any], path: Path) -> dict[str, Any]:
    laid = copy.deepcopy(table)
    for key, value in overrides.items():
        group = laid
        *parents, last = key.split(".")
        for parent in parents:
            group = group.setdefault(parent, {})
            if not isinstance(group, dict):
                raise ValueError(f"{path}: {parent} is a group of settings, not a single value; write it as [{parent}]")
        group[last] = copy.deepcopy(value)
    return laid


def _defects(table: dict[str, Any]) -> set[tuple[Any, ...]]:
    try:
        Preset.model_validate(table)
    except ValidationError as error:
        return set(map(_defect, error.errors()))
    return set()


def _defect(error: Any) -> tuple[Any, ...]:
    return error["loc"], error["type"], error["msg"]


def _told(error: Any) -> str:
    key, value = ".".join(map(str, error["loc"])), error.get("input")
    if error["type"] != "missing" and isinstance(value, str | int | float):
        key = f"{key} = {json.dumps(value)}"[:120]
    return f"{key}: {explain(error)}" if key else explain(error)


def _blamed(error: Any, given: Mapping[str, Any], without: Mapping[str, set[tuple[Any, ...]]], given_by: str) -> str:
    """A defect that the file alone does not have, with the overrides that it goes away without (all, if it takes more than one to go)."""
    guilty = [key for key in given if _defect(error) not in without[key]] or list(given)
    place = ".".join(map(str, error["loc"]))
    inner = place.removeprefix(guilty[0]).lstrip(".") if place.startswith(f"{guilty[0]}.") else ""
    spelled = ", ".join(_spelled(given_by, key, given[key]) for key in guilty)
    return f"{spelled}: {inner}: {explain(error)}" if inner else f"{spelled}: {explain(error)}"


def _spelled(given_by: str, key: str, value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return f"{given_by} {key}={text if len(text) <= 80 else text[:79] + '…'}"
