"""The store remembers: content-addressed artifacts, found again by the key of their recipe.

    objects/<stage>/<digest>/   the files of an artifact and record.json
    keys/<key>.json             which digest a recipe came to, when, under which code, in how many seconds
    work/<stage>-<key12>/       scratch of a stage under way; survives a crash, so that the stage can resume
    locks/<key>.lock            held by the one builder of a key (see `tasks.locks`)

A stage builds in a hidden folder beside its final place. The record is written last, the folder renamed, then the key
written: what is found is whole, whenever the machine stops.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from tasks.files import BrokenArtifact, FileRecord, check_files, describe_files, digest_of, flush, flush_tree, write_atomically
from tasks.locks import holder_of, locked
from tasks.provenance import commit, library_versions
from tasks.recipe import Recipe

RECORD = "record.json"
BUILDING = ".building-"
BROKEN = ".broken-"

Verify = Literal["size", "safetensors", "digest"]
"""How closely files are looked at: their sizes, the content of safetensors files as well, or the content of all."""


class StoreError(OSError):
    """The store cannot be written or read: names the path and the cure. Nothing half-written is left behind."""

    def __init__(self, path: Path, problem: str, cure: str) -> None:
        super().__init__(f"{path}: {problem}; {cure}")
        self.path = path
        self.cure = cure


@dataclass(frozen=True)
class Artifact:
    """What a stage made, whole: the folder `path` with its `files`, and how `key` came to it.

    `made` holds the provenance of this key: created (ISO 8601, UTC), seconds, commit, versions, and under notes what the stage
    wished to remember. Two recipes that came to the same content share one folder and differ in `made`.

    >>> artifact.path / "curated.duckdb"  # doctest: +SKIP
    PosixPath('.r1vl/objects/curate/3f2a…/curated.duckdb')
    """

    stage: str
    key: str
    digest: str
    path: Path
    recipe: Recipe
    files: tuple[FileRecord, ...]
    made: Mapping[str, Any]

    @property
    def notes(self) -> Mapping[str, Any]:
        """What the stage's build returned, less "content"."""
        notes: Mapping[str, Any] = self.made["notes"]
        return notes


class Store:
    """A folder of artifacts; any number of processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def get(self, recipe: Recipe, verify: Verify = "size") -> Artifact | None:
        """The artifact of `recipe`, or None when there is none that is whole. Raises StoreError when it may not be read."""
        with _Clearly(self.root):
            try:
                return self.read(recipe.key, verify)
            except (BrokenArtifact, FileNotFoundError):
                return None

    def defect(self, recipe: Recipe) -> str | None:
        """What is wrong with the artifact that `recipe` once came to; None when it is whole or was never made."""
        with _Clearly(self.root):
            try:
                self.read(recipe.key, "size")
            except BrokenArtifact as broken:
                return str(broken)
            except FileNotFoundError:
                pass
            return None

    def former_digest(self, recipe: Recipe) -> str | None:
        """What `recipe` came to when it was last built, even if the artifact is broken or gone by now."""
        try:
            return str(json.loads(self.key_path(recipe.key).read_text(encoding="utf-8"))["digest"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def put(
        self,
        recipe: Recipe,
        build: Callable[[Path], Mapping[str, Any] | None],
        *,
        force: bool = False,
        on_wait: Callable[[str], None] | None = None,
    ) -> Artifact:
        """The artifact of `recipe`: the one that is there, else what `build` writes into the folder it is given.

        `build` may return notes to keep with the artifact (plain values). Their "content" is a table from a file's name to a
        digest of what the file *means*, for files whose bytes differ between identical builds. `force` builds anew, from
        nothing. A second builder of the same key waits (`on_wait` hears for whom), then gets the first one's artifact.
        Raises StoreError for a full disk or missing permission, ValueError for a build that wrote what cannot be kept.
        """
        with _Clearly(self.root), locked(self.lock_path(recipe.key), on_wait):
            found = None if force else self.get(recipe)
            if found is not None:
                return found
            if force:
                shutil.rmtree(self._work_path(recipe), ignore_errors=True)
            building = self.root / "objects" / recipe.stage / f"{BUILDING}{recipe.key}"
            shutil.rmtree(building, ignore_errors=True)  # of a builder that was killed: we hold its lock
            building.mkdir(parents=True)
            try:
                started = time.monotonic()
                notes = dict(build(building) or {})
                self._finish(recipe, building, notes, time.monotonic() - started)
            finally:
                shutil.rmtree(building, ignore_errors=True)
            shutil.rmtree(self._work_path(recipe), ignore_errors=True)
            return self.read(recipe.key, "size")

    def builder_of(self, recipe: Recipe) -> str | None:
        """Who is building `recipe` now and since when ("process 4711, since 2026-05-31 14:05:09,"); None when nobody is."""
        with _Clearly(self.root):
            return holder_of(self.lock_path(recipe.key))

    def work_dir(self, recipe: Recipe) -> Path:
        """Scratch of this recipe that outlives a killed builder; emptied when the artifact stands."""
        with _Clearly(self.root):
            self._work_path(recipe).mkdir(parents=True, exist_ok=True)
        return self._work_path(recipe)

    def latest(self, stage: str) -> Artifact | None:
        """The whole artifact of `stage` that was made last."""
        return next(self.artifacts(stage), None)

    def nearest(self, recipe: Recipe, among: Callable[[Artifact], bool] = lambda artifact: True) -> Artifact | None:
        """The whole artifact of the same stage whose recipe differs in the fewest fields; the newest of several."""
        found = filter(among, self.artifacts(recipe.stage))
        return min(found, key=lambda artifact: len(artifact.recipe.differences(recipe)), default=None)

    def artifacts(self, stage: str | None = None) -> Iterator[Artifact]:
        """Every whole artifact, or those of one stage, the newest first."""
        found = []
        for key in self.all_keys():
            try:
                found.append(self.read(key, "size"))
            except (BrokenArtifact, FileNotFoundError):
                continue
        wanted = (artifact for artifact in found if stage in (None, artifact.stage))
        return iter(sorted(wanted, key=lambda artifact: str(artifact.made["created"]), reverse=True))

    def all_keys(self) -> tuple[str, ...]:
        """Every key that was ever written, in order of the alphabet."""
        return tuple(sorted(path.stem for path in (self.root / "keys").glob("[0-9a-f]*.json")))

    def read(self, key: str, verify: Verify) -> Artifact:
        """The artifact behind `key`. Raises BrokenArtifact with the reason, FileNotFoundError when the key was never written."""
        text = self.key_path(key).read_text(encoding="utf-8")
        try:
            made = json.loads(text)
            recipe = Recipe.from_plain(made["recipe"])
            digest, stage = made["digest"], made["stage"]
        except (ValueError, KeyError, TypeError) as error:
            raise BrokenArtifact(f"{self.key_path(key)}: not a key file: {error}") from None
        if recipe.key != key or stage != recipe.stage:
            raise BrokenArtifact(f"{self.key_path(key)}: holds the recipe of another key")
        path = self.object_path(stage, digest)
        return Artifact(stage, key, digest, path, recipe, read_object(path, verify), made)

    def object_path(self, stage: str, digest: str) -> Path:
        """Where an artifact lies."""
        return self.root / "objects" / stage / digest

    def key_path(self, key: str) -> Path:
        """The file that says what a key came to."""
        return self.root / "keys" / f"{key}.json"

    def lock_path(self, key: str) -> Path:
        """The lock that the builder of a key holds."""
        return self.root / "locks" / f"{key}.lock"

    def committing(self) -> AbstractContextManager[None]:
        """The lock under which objects and keys appear and disappear; held for a rename, never for a build."""
        return locked(self.root / "locks" / "commit.lock")

    def _work_path(self, recipe: Recipe) -> Path:
        return self.root / "work" / f"{recipe.stage}-{recipe.key[:12]}"

    def _finish(self, recipe: Recipe, building: Path, notes: dict[str, Any], seconds: float) -> None:
        files = describe_files(building, notes.pop("content", {}), reserved=RECORD)
        made = {
            "format": 1,
            "stage": recipe.stage,
            "key": recipe.key,
            "digest": digest_of(files),
            "recipe": recipe.as_plain(),
            "created": datetime.now(UTC).isoformat(timespec="microseconds"),
            "seconds": round(seconds, 3),
            "commit": commit(),
            "versions": library_versions(),
            "notes": notes,
        }
        record = {**made, "files": [file.as_plain() for file in files]}
        flush_tree(building)
        write_atomically(building / RECORD, json.dumps(record, indent=1, allow_nan=False))
        self.key_path(recipe.key).parent.mkdir(parents=True, exist_ok=True)
        with self.committing():
            _settle(building, self.object_path(recipe.stage, digest_of(files)))
            write_atomically(self.key_path(recipe.key), json.dumps(made, indent=1, allow_nan=False))


def _settle(building: Path, final: Path) -> None:
    """Give the built folder its name, unless the same content stands there already, whole to the last byte."""
    if final.exists():
        try:
            read_object(final, "digest")
            return
        except BrokenArtifact:
            aside = final.with_name(f"{BROKEN}{final.name}-{os.getpid()}")
            os.replace(final, aside)
            os.replace(building, final)
            shutil.rmtree(aside, ignore_errors=True)
    else:
        os.replace(building, final)
    flush(final.parent)


def read_object(path: Path, verify: Verify) -> tuple[FileRecord, ...]:
    """The files of the object at `path`, checked. Raises BrokenArtifact with the reason."""
    try:
        table = json.loads((path / RECORD).read_text(encoding="utf-8"))
        files = tuple(FileRecord.from_plain(entry) for entry in table["files"])
    except FileNotFoundError:
        raise BrokenArtifact(f"{path}: {'no record in it' if path.exists() else 'missing'}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenArtifact(f"{path / RECORD}: not a record: {error}") from None
    if digest_of(files) != path.name:
        raise BrokenArtifact(f"{path}: its record describes other content")
    check_files(path, files, lambda name: verify == "digest" or (verify == "safetensors" and name.endswith(".safetensors")))
    return files


_CURES = {
    errno.ENOSPC: "free some space on this disk, or choose another root",
    errno.EDQUOT: "your quota is used up: free some space, or choose another root",
    errno.EACCES: "give yourself permission to write there, or choose another root",
    errno.EPERM: "give yourself permission to write there, or choose another root",
    errno.EROFS: "this file system is read-only: choose another root",
    errno.ENOTDIR: "a file stands where a folder should be: move it away, or choose another root",
}


class _Clearly:
    """Turns what the operating system says about the store's own disk into a StoreError; lets everything else pass."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, StoreError) or not isinstance(error, Exception):
            return
        full = "No space left on device" in str(error)  # libraries that write files wrap the error in one of their own
        number = errno.ENOSPC if full else error.errno if isinstance(error, OSError) else None
        if number not in _CURES:
            return
        path = Path(os.fsdecode(error.filename)) if isinstance(error, OSError) and isinstance(error.filename, (str, bytes)) else self.root
        if full or number == errno.EDQUOT or path.is_relative_to(self.root) or self.root.is_relative_to(path):
            raise StoreError(path, os.strerror(number), _CURES[number]) from error
