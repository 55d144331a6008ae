"""The files of an artifact: described, checked, written so that a crash leaves the old or the new, never a half."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.recipe import spell

_SHA256 = re.compile(r"[0-9a-f]{64}")


class BrokenArtifact(Exception):
    """An artifact is not what its record says; the message names the file and the difference."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of an artifact. `path` is relative, with slashes; `size` in bytes; `sha256` of its bytes.

    `content` is what counts for the artifact's digest: the sha256, or a digest of the meaning where identical builds differ
    in their bytes (a DuckDB database).

    >>> FileRecord("a.txt", 1, "ca97…", "ca97…").size
    1
    """

    path: str
    size: int
    sha256: str
    content: str

    def as_plain(self) -> dict[str, Any]:
        """The record as a JSON object."""
        return asdict(self)

    @classmethod
    def from_plain(cls, table: Mapping[str, Any]) -> FileRecord:
        """The record that `as_plain` described. Raises KeyError, TypeError, or ValueError for a path that leaves its folder."""
        path = str(table["path"])
        if path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"the path {path!r} leaves the artifact")
        return cls(path, int(table["size"]), str(table["sha256"]), str(table["content"]))


def sha256_file(path: Path) -> str:
    """sha256 of a file's bytes, hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_files(folder: Path, contents: Mapping[str, str], reserved: str) -> tuple[FileRecord, ...]:
    """Every file under `folder`, in order of their paths; `contents` overrides what counts for the digest.

    Raises ValueError for links and devices, for a file named `reserved`, and for an override of a file that is not there.
    """
    names = []
    for place, _, files in os.walk(folder):
        for name in files:
            path = Path(place, name)
            if path.is_symlink() or not path.is_file():
                raise ValueError(f"{path}: an artifact holds plain files only; copy what the link points to")
            names.append(path.relative_to(folder).as_posix())
        links = [name for name in os.listdir(place) if Path(place, name).is_symlink()]
        if links:
            raise ValueError(f"{Path(place, links[0])}: an artifact holds plain files only; copy what the link points to")
    if reserved in names:
        raise ValueError(f"{folder / reserved}: this name is the store's own; give the file another")
    if unknown := sorted(contents.keys() - set(names)):
        raise ValueError(
            f"content digest for {unknown[0]!r}, but the stage wrote no such file (it wrote {', '.join(sorted(names)) or 'none'})"
        )
    if wrong := [name for name, digest in contents.items() if not _SHA256.fullmatch(digest)]:
        raise ValueError(f"content digest of {wrong[0]!r} is {contents[wrong[0]]!r}, not a sha256")
    return tuple(_describe(folder, name, contents.get(name)) for name in sorted(names))


def _describe(folder: Path, name: str, content: str | None) -> FileRecord:
    sha256 = sha256_file(folder / name)
    return FileRecord(name, (folder / name).stat().st_size, sha256, content or sha256)


def digest_of(files: Sequence[FileRecord]) -> str:
    """An artifact's digest: sha256 over the (path, content) pairs of its files, in order of their paths."""
    pairs = sorted((file.path, file.content) for file in files)
    return hashlib.sha256(spell(pairs).encode("ascii")).hexdigest()


def check_files(folder: Path, files: Sequence[FileRecord], closely: Callable[[str], bool]) -> None:
    """Check that each file is there with its size, and with its sha256 where `closely(path)`. Raises BrokenArtifact."""
    for file in files:
        path = folder / file.path
        try:
            size = path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            raise BrokenArtifact(f"{path}: missing") from None
        if size != file.size:
            raise BrokenArtifact(f"{path}: {size} bytes instead of {file.size}")
        if closely(file.path) and (sha256 := sha256_file(path)) != file.sha256:
            raise BrokenArtifact(f"{path}: sha256 {sha256[:12]}… instead of {file.sha256[:12]}…")


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader, or a machine that stops, sees all of it or none."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # people know the file, not our temporary one
    finally:
        temporary.unlink(missing_ok=True)
    flush(path.parent)


def flush_tree(folder: Path) -> None:
    """Hand a folder to the disk, with everything in it."""
    for place, _, files in os.walk(folder):
        for name in [*files, "."]:
            flush(Path(place, name))


def flush(path: Path) -> None:
    """Hand one file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
