"""The README's map is the house as it stands: every path it names exists, and every room is on it."""

import re
from pathlib import Path

from flows.__main__ import app

ROOT = Path(__file__).parents[1]
ROOMS = ("r1vl_core", "tasks", "flows", "infra", "tests")


def named_paths() -> set[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"## The house\n.*?```\n(.*?)```", text, re.DOTALL)
    assert found, "the README has no map under 'The house'"
    paths, room = set(), ""
    for line in found[1].splitlines():
        name = line.split()[0] if line.split() else ""
        if line[:1] not in ("", " "):
            room = name.rstrip("/")
            paths.add(room)
        elif name.endswith(("/", ".py", ".yaml", ".toml", ".md", ".lock")):
            paths.add(f"{room}/{name.rstrip('/')}")
    return paths


def test_every_path_on_the_map_exists() -> None:
    assert [path for path in sorted(named_paths()) if not (ROOT / path).exists()] == []


def test_every_room_is_on_the_map() -> None:
    rooms = set(ROOMS) | {f"r1vl_core/{folder.name}" for folder in (ROOT / "r1vl_core").iterdir() if (folder / "__init__.py").exists()}
    rooms |= {f"infra/{entry.name}" for entry in (ROOT / "infra").iterdir() if entry.name != "__pycache__"}
    assert sorted(rooms - named_paths()) == []


def test_every_make_target_and_command_it_shows_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^make ([a-z]+)", text, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    commands = set(re.findall(r"^(?:\.venv/bin/)?r1vl ([a-z-]+)", text, re.MULTILINE))
    there = {command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands if command.callback}
    assert commands
    assert sorted(commands - there) == []
