"""Raw inputs enter a recipe by the digest of their content; a small database remembers digests of files that did not change."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from tasks.files import sha256_file
from tasks.recipe import spell

DIGESTS = "digests.sqlite"
"""The cache's name below the root."""

_log = logging.getLogger(__name__)

_SETTLED_S = 2.0
"""A file changed less than this ago may change again within its time stamp's resolution: its digest is not remembered."""

_CREATE = "CREATE TABLE IF NOT EXISTS digests (path TEXT PRIMARY KEY, stat TEXT NOT NULL, sha256 TEXT NOT NULL) WITHOUT ROWID"


class DigestCache:
    """Digests by path, good while size, time stamps and inode of the file stay. Only a cache: it may be deleted, or fail.

    Where the folder it belongs into is not there, nothing is remembered: who only looks at a root does not make one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, path: Path) -> str:
        """sha256 of one file's bytes. Raises ValueError for what is no readable file."""
        path = _checked(path, folder=False)
        return next(iter(self._digests([path]).values()))

    def folder(self, path: Path) -> str:
        """One sha256 over a folder's files: their relative paths and contents, links followed, hidden entries left out.

        Raises ValueError for what is no readable folder, and for a folder that links back to one above it.
        """
        path = _checked(path, folder=True)
        digests = self._digests(list(_walk(path, frozenset())))
        pairs = sorted((file.relative_to(path).as_posix(), sha256) for file, sha256 in digests.items())
        return hashlib.sha256(spell(pairs).encode("ascii")).hexdigest()

    def readable(self, paths: Iterable[Path]) -> dict[Path, str]:
        """sha256 of each file's bytes; a file that cannot be read is left out."""
        return self._digests(list(paths), leave_out_unreadable=True)

    def _digests(self, paths: list[Path], *, leave_out_unreadable: bool = False) -> dict[Path, str]:
        known = self._recall(paths)
        fresh: dict[str, tuple[str, str]] = {}
        digests = {}
        for path in paths:
            try:
                digests[path] = self._digest(path, known.get(str(path)), fresh)
            except (ValueError, OSError):  # OSError: gone since it was found
                if not leave_out_unreadable:
                    raise
        self._remember(fresh)
        return digests

    @staticmethod
    def _digest(path: Path, remembered: tuple[str, str] | None, fresh: dict[str, tuple[str, str]]) -> str:
        stat = _stat(path)
        if remembered is not None and remembered[0] == stat:
            return remembered[1]
        digest = _sha256(path)
        if _is_settled(path) and _stat(path) == stat:
            fresh[str(path)] = (stat, digest)
        return digest

    def _recall(self, paths: Iterable[Path]) -> dict[str, tuple[str, str]]:
        if not os.path.isdir(self.path.parent):  # False as well where we may not look
            return {}
        try:
            with closing(self._open()) as database:
                rows = (
                    database.execute("SELECT path, stat, sha256 FROM digests WHERE path = ?", (str(path),)).fetchone() for path in paths
                )
                return {row[0]: (row[1], row[2]) for row in rows if row is not None}
        except (sqlite3.Error, OSError) as error:
            if _is_read_only(error):
                return {}
            _log.warning("digest cache %s: %s; reading every file anew (delete it to be rid of this)", self.path, error)
            return {}

    def _remember(self, fresh: Mapping[str, tuple[str, str]]) -> None:
        if not fresh or not os.path.isdir(self.path.parent):
            return
        try:
            with closing(self._open()) as database, database:
                database.executemany("REPLACE INTO digests VALUES (?, ?, ?)", [(path, *row) for path, row in fresh.items()])
        except (sqlite3.Error, OSError) as error:
            if _is_read_only(error):
                return
            _log.warning("digest cache %s: %s; the digests are not remembered", self.path, error)

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=30)
        database.execute(_CREATE)
        return database


class Inputs(Mapping[str, str]):
    """What a stage's recipe may name: the digests of the stages before it, and of raw files and folders by their content.

    >>> inputs = Inputs({"curate": "3f2a"}, DigestCache(Path(".r1vl/digests.sqlite")))
    >>> inputs["curate"]
    '3f2a'
    """

    def __init__(self, upstream: Mapping[str, str], cache: DigestCache, *, planning: bool = False) -> None:
        self._upstream = dict(upstream)
        self._cache = cache
        self.raw: dict[Path, str] = {}
        """Raw files and folders that were named, with their digests."""
        self.planning = planning
        """Whether somebody only asks what would be done; then nothing is fetched."""

    def __getitem__(self, stage: str) -> str:
        return self._upstream[stage]

    def __iter__(self) -> Iterator[str]:
        return iter(self._upstream)

    def __len__(self) -> int:
        return len(self._upstream)

    def file(self, path: Path) -> str:
        """Content digest of a raw input file. Raises ValueError naming it when it cannot be read."""
        self.raw[path] = self._cache.file(path)
        return self.raw[path]

    def folder(self, path: Path) -> str:
        """Content digest of a folder of raw inputs. Raises ValueError naming it when it cannot be read."""
        self.raw[path] = self._cache.folder(path)
        return self.raw[path]


def _is_read_only(error: Exception) -> bool:
    """Whether the root may only be looked at: a plan of somebody else's root is no reason to complain."""
    if isinstance(error, OSError):
        return error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM"))


def _checked(path: Path, folder: bool) -> Path:
    kind = "folder" if folder else "file"
    if not path.exists():
        raise ValueError(f"{kind} {path}: no such {kind}; check its path")
    if path.is_dir() != folder:
        raise ValueError(f"{kind} {path}: this is a {'file' if folder else 'folder'}; name a {kind}")
    return path.absolute()


def _walk(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    """Every file below `folder`; `above` are the folders we came through, by device and inode."""
    here = folder.stat()
    if (here.st_dev, here.st_ino) in above:
        raise ValueError(f"folder {folder}: links back to a folder above it; remove the link")
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except PermissionError:
        raise ValueError(f"folder {folder}: no permission to read it; give yourself permission") from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), above | {(here.st_dev, here.st_ino)})
        else:
            yield Path(entry.path)


def _stat(path: Path) -> str:
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise ValueError(f"file {path}: no such file, or a link to nothing") from None
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def _sha256(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise ValueError(f"file {path}: {error.strerror}; a readable file is needed") from None


def _is_settled(path: Path) -> bool:
    stat = path.stat()
    return max(stat.st_mtime, stat.st_ctime) < time.time() - _SETTLED_S
