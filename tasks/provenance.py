"""Under which code and libraries an artifact was made. Recorded with it, never part of its recipe."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "accelerate",
    "numpy",
    "duckdb",
    "polars",
    "pyarrow",
    "pillow",
    "math-verify",
    "scikit-learn",
)


@cache
def library_versions() -> dict[str, str]:
    """Python's version and that of every library of `LIBRARIES` that is installed."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@cache
def commit() -> str:
    """The commit of the source tree this file lies in, with "+changes" when it was edited; empty outside a git tree."""
    folder = Path(__file__).resolve().parents[1]
    if not (folder / ".git").exists():  # installed as a package: an outer repository's commit would be somebody else's
        return ""
    head, changes = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{head}+changes" if head and changes else head


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
