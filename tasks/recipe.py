"""What a stage was made from: its recipe, and the key that is a hash of exactly that."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_STAGE_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Recipe:
    """A stage's name and revision, the settings it reads, the digests of its inputs and of its prompts.

    `revision` is raised by hand when the stage's code changes what its output means. `settings` holds plain values only
    (`model_dump(mode="json")` of a group of dials, less what is no identity). Raises ValueError, naming the field, for a value
    with no stable spelling: nan, inf, sets, bytes, paths, objects, keys that are not text.

    >>> before = Recipe("stepgrpo", 1, {"alpha": 0.1}, {"warmup": "3f2a"})
    >>> before.first_difference(Recipe("stepgrpo", 1, {"alpha": 0.2}, {"warmup": "3f2a"}))
    'settings.alpha: 0.1 -> 0.2'
    """

    stage: str
    revision: int
    settings: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _STAGE_NAME.fullmatch(self.stage):
            raise ValueError(f"stage name {self.stage!r}: use small letters, digits and underscores")
        for name in ("settings", "inputs", "prompts"):  # a copy nobody else can change: the recipe recorded is the recipe hashed
            object.__setattr__(self, name, plain(getattr(self, name), name))

    def as_plain(self) -> dict[str, Any]:
        """The recipe as one JSON object, as it stands in the record."""
        return {
            "stage": self.stage,
            "revision": self.revision,
            "settings": self.settings,
            "inputs": self.inputs,
            "prompts": self.prompts,
        }

    @classmethod
    def from_plain(cls, table: Mapping[str, Any]) -> Recipe:
        """The recipe that `as_plain` described. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(table["stage"], table["revision"], table["settings"], table["inputs"], table["prompts"])

    @property
    def key(self) -> str:
        """sha256 of the recipe's one spelling, 64 hexadecimal digits."""
        return hashlib.sha256(spell(self.as_plain()).encode("ascii")).hexdigest()

    def differences(self, other: Recipe) -> tuple[str, ...]:
        """Every field in which `other`, the newer one, differs: settings first, then prompts, inputs last."""
        if self.stage != other.stage:
            return (f"stage: {self.stage} -> {other.stage}",)
        parts = [] if self.revision == other.revision else [f"revision: {self.revision} -> {other.revision}"]
        for name in ("settings", "prompts", "inputs"):
            old, new = _leaves_of(getattr(self, name), name), _leaves_of(getattr(other, name), name)
            changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key, _ABSENT) != new.get(key, _ABSENT)]
            parts += [f"{key}: {_show(old.get(key, _ABSENT))} -> {_show(new.get(key, _ABSENT))}" for key in changed]
        return tuple(parts)

    def first_difference(self, other: Recipe) -> str | None:
        """The first of `differences`, None when the two recipes are the same."""
        return next(iter(self.differences(other)), None)


def spell(value: Any) -> str:
    """The one spelling of a plain value: JSON, keys sorted, ASCII, no spaces. Raises ValueError for any other value.

    >>> spell({"b": (1, 0.5), "a": None})
    '{"a":null,"b":[1,0.5]}'
    """
    return json.dumps(plain(value, "value"), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def plain(value: Any, where: str) -> Any:
    """A copy of `value` in JSON's own types; the exact types only, so that no subclass brings its own spelling along.

    Raises ValueError naming `where` and the value.
    """
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        if not math.isfinite(value):
            raise ValueError(f"{where}: {value} has no stable spelling; use a finite number or None")
        return value
    if kind in (list, tuple):
        return [plain(item, f"{where}[{place}]") for place, item in enumerate(value)]
    if isinstance(value, Mapping):
        return _plain_table(value, where)
    raise ValueError(f"{where}: {value!r:.80} ({kind.__name__}) has no stable spelling; use numbers, text, lists and tables only")


def _plain_table(table: Mapping[Any, Any], where: str) -> dict[str, Any]:
    for key in table:
        if type(key) is not str:
            raise ValueError(f"{where}: the key {key!r:.80} is not text; write it as text")
    return {key: plain(table[key], f"{where}.{key}") for key in sorted(table)}


_ABSENT = object()


def _leaves_of(table: Mapping[str, Any], name: str) -> dict[str, str]:
    return {leaf: text for key, value in table.items() for leaf, text in _leaves(value, f"{name}.{key}")}


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}")
    else:
        # 1 and 1.0 and True are equal in Python but not in the key, so leaves are compared as they are spelled
        yield name, spell(value)


def _show(spelled: Any) -> str:
    if spelled is _ABSENT:
        return "absent"
    text = spelled.strip('"') if re.fullmatch(r'"[0-9a-f]{64}"', spelled) else spelled
    if text != spelled:
        return f"{text[:12]}…"
    return text if len(text) <= 60 else f"{text[:59]}…"
