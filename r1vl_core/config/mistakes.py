"""A wrong setting in plain words, and the name that was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from r1vl_core.config.dials import Preset
from r1vl_core.config.group import Dials

_GROUP = "is a group of settings, not a single value; set them one by one, or all as JSON: '{\"name\": value}'"

_IN_WORDS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "missing": "is missing; add it",
    "model_attributes_type": _GROUP,
    "model_type": _GROUP,
    "path_type": "must be the path of a file",
    "string_type": "must be a text",
    "tuple_type": "must be a list",
}


def explain(error: Any) -> str:
    """What is wrong, from one entry of pydantic's `ValidationError.errors()`, without the place and the value."""
    if error["type"] == "extra_forbidden":
        return f"no such setting; {nearest('.'.join(str(part) for part in error['loc'] if not isinstance(part, int)))}"
    return _IN_WORDS.get(error["type"]) or in_words(str(error["msg"]))


def in_words(message: str) -> str:
    """A message of pydantic's, without its own words.

    >>> in_words("Value error, 'x' is no letter"), in_words("Input should be a valid integer, unable to parse string as an integer")
    ("'x' is no letter", 'must be a valid integer')
    """
    return re.sub(r"\b(Input|String|Tuple|List|Value) should", "must", message.replace("Value error, ", "")).partition(", unable to ")[0]


def is_setting(key: str) -> bool:
    """Whether a dotted key names a setting, or a group of settings, of a preset.

    >>> is_setting("stepgrpo.lora.rank"), is_setting("stepgrpo"), is_setting("rank")
    (True, True, False)
    """
    *parents, last = key.split(".")
    group: type[Dials] | None = Preset
    for parent in parents:
        field = group.model_fields.get(parent) if group else None
        group = _group(field.annotation) if field else None
    return group is not None and last in group.model_fields


def nearest(key: str) -> str:
    """The cure for a key that names no setting: those of that name elsewhere, else the most alike, else what there is to choose from.

    >>> nearest("alpha"), nearest("warm_up.num_epochs")
    ('did you mean stepgrpo.alpha, warmup.lora.alpha or stepgrpo.lora.alpha?', 'did you mean warmup.num_epochs?')
    """
    names = list(_names(Preset))
    parent, _, last = key.rpartition(".")
    siblings = [name for name in names if parent and name.rpartition(".")[0] == parent]
    same = [name for name in names if _last(name) == last and name != key]
    if siblings:
        found = _alike(last, siblings) or same
    else:
        found = (get_close_matches(key, names, n=1, cutoff=0.75) if parent else []) or same or _alike(last, names)
    if found:
        *others, final = sorted(found, key=lambda name: name.count("."))[:3]
        return f"did you mean {', '.join(others)} or {final}?" if others else f"did you mean {final}?"
    place = f"{parent} has" if siblings else "there are"
    return f"{place} {', '.join(map(_last, siblings or Preset.model_fields))}"


def _alike(last: str, names: list[str]) -> list[str]:
    near = get_close_matches(last, map(_last, names), n=1)
    return [name for name in names if _last(name) in near]


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _names(group: type[Dials], prefix: str = "") -> Iterator[str]:
    """Dotted name of every setting and of every group of them, those of the items of a list included."""
    for name, field in group.model_fields.items():
        yield f"{prefix}{name}"
        if below := _group(field.annotation):
            yield from _names(below, f"{prefix}{name}.")


def _group(annotation: Any) -> type[Dials] | None:
    """The group of settings that an annotation stands for, be it optional or a list of them."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Dials):
            return kind
    return None
