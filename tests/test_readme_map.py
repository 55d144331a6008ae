"""The map in the README names what is there, and all of it."""

from __future__ import annotations

import re
from pathlib import Path

HOME = Path(__file__).parents[1]
ROOMS = ("r1vl_core", "tasks", "flows", "infra")
"""Folders whose own entries the map must name."""

_LINE = re.compile(r"^(?P<indent> *)(?P<name>[\w.\-]+/?)(?=\s|$)")


def paths_on_the_map(readme: str) -> list[str]:
    """The paths of the code block below the heading "Map": one a line, a folder ends in "/", what is indented lies in the folder above."""
    block = re.search(r"^#+ .*\bmap\b.*?^```\w*\n(?P<map>.*?)^```", readme, re.IGNORECASE | re.MULTILINE | re.DOTALL)
    assert block is not None, 'README.md has no code block below a heading with the word "map"'
    found: list[str] = []
    above: list[tuple[int, str]] = []
    for line in block["map"].splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        indent = len(match["indent"])
        above = [(width, folder) for width, folder in above if width < indent]
        path = "".join(folder for _, folder in above) + match["name"]
        found.append(path)
        if path.endswith("/"):
            above.append((indent, match["name"]))
    return found


def test_the_map_reads_as_a_tree() -> None:
    text = "## The map\n\n```\ncore/     science\n  a.py    one\n  data/   two\n    b.sql\nMakefile\n```\n"
    assert paths_on_the_map(text) == ["core/", "core/a.py", "core/data/", "core/data/b.sql", "Makefile"]


def test_everything_on_the_map_is_there() -> None:
    missing = [path for path in paths_on_the_map((HOME / "README.md").read_text()) if not (HOME / path).exists()]
    assert missing == []


def test_everything_there_is_on_the_map() -> None:
    named = {path.rstrip("/") for path in paths_on_the_map((HOME / "README.md").read_text())}
    there = {
        entry.relative_to(HOME).as_posix() for room in ROOMS for entry in (HOME / room).iterdir() if not entry.name.startswith(("_", "."))
    }
    assert sorted(there - named) == []
