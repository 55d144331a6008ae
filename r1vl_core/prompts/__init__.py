"""Prompt templates: plain text files with named slots, read by a strict loader.

A template's digest enters the recipe of every stage that uses it, so that a changed prompt never meets an old artifact.
"""

from __future__ import annotations

import functools
import hashlib
import re
from importlib import resources

_SLOT = re.compile(r"\{([a-z_]+)\}")


def render_prompt(name: str, **slots: str) -> str:
    """Fill the template `name`; every slot must be given, and nothing else. Raises ValueError.

    >>> render_prompt("plain", question="How many?")
    'How many?'
    """
    template = _template(name)
    wanted = set(_SLOT.findall(template))
    if wanted != set(slots):
        raise ValueError(f"prompt {name} has the slots {sorted(wanted)}, given {sorted(slots)}")
    return _SLOT.sub(lambda match: slots[match[1]], template)


def prompt_digest(name: str) -> str:
    """SHA-256 of a template's text."""
    return hashlib.sha256(_template(name).encode()).hexdigest()


def prompt_names() -> tuple[str, ...]:
    """Names of the templates that a policy can be asked by: those whose one slot is the question. The others are a teacher's."""
    return tuple(name for name in _names() if set(_SLOT.findall(_template(name))) == {"question"})


def _names() -> tuple[str, ...]:
    return tuple(sorted(f.name.removesuffix(".txt") for f in resources.files(__package__).iterdir() if f.name.endswith(".txt")))


@functools.cache
def _template(name: str) -> str:
    if name not in _names():
        raise ValueError(f"no prompt template named {name!r}; there are {', '.join(_names())}")
    return (resources.files(__package__) / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")
