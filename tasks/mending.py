"""What a crash, a full disk or a stray hand left in a store: found, named, removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.files import BrokenArtifact
from tasks.locks import locked_if_free
from tasks.store import BROKEN, BUILDING, Artifact, Store, Verify, read_object


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing in a store that should not be there: where it lies and what is wrong with it.

    >>> Fault("dangling_key", Path("keys/3f2a.json"), "objects/curate/9bc1: missing").kind
    'dangling_key'
    """

    kind: Literal["broken_artifact", "dangling_key", "leftover_build", "leftover_file"]
    path: Path
    detail: str


def audit(store: Store, verify: Verify = "size") -> list[Fault]:
    """Everything wrong with the store; changes nothing. `verify="digest"` reads every file, about 1 s a gigabyte."""
    broken = list(_broken_artifacts(store, verify))
    return [*broken, *_dangling_keys(store, {fault.path for fault in broken}), *_leftover_builds(store), *_leftover_files(store)]


def repair(store: Store, verify: Verify = "size") -> list[Fault]:
    """Remove everything that `audit` finds; what was removed. A stage whose artifact goes is built anew when next asked for."""
    faults = audit(store, verify)
    for fault in faults:
        if fault.kind == "leftover_build":
            _remove_build(store, fault.path)
        elif fault.path.is_dir():
            with store.committing():
                shutil.rmtree(fault.path, ignore_errors=True)
        else:
            fault.path.unlink(missing_ok=True)
    return faults


def collect_garbage(store: Store) -> list[Path]:
    """Remove the artifacts that no key points to any more (a forced rebuild came to other content); what was removed."""
    removed = []
    with store.committing():
        used = {artifact.path for artifact in store.artifacts()}
        for path in _objects(store):
            if path not in used:
                shutil.rmtree(path)
                removed.append(path)
    return removed


def discard(store: Store, artifact: Artifact) -> None:
    """Remove one artifact, so that its stage is built anew when next asked for."""
    with store.committing():
        store.key_path(artifact.key).unlink(missing_ok=True)
        shutil.rmtree(artifact.path, ignore_errors=True)


def _objects(store: Store) -> Iterator[Path]:
    for path in sorted((store.root / "objects").glob("*/*")):
        if path.is_dir() and not path.name.startswith("."):
            yield path


def _broken_artifacts(store: Store, verify: Verify) -> Iterator[Fault]:
    for path in _objects(store):
        try:
            read_object(path, verify)
        except BrokenArtifact as broken:
            yield Fault("broken_artifact", path, str(broken))


def _dangling_keys(store: Store, broken: set[Path]) -> Iterator[Fault]:
    for key in store.all_keys():
        try:
            artifact = store.read(key, "size")
        except BrokenArtifact as error:
            yield Fault("dangling_key", store.key_path(key), str(error))
        else:
            if artifact.path in broken:
                yield Fault("dangling_key", store.key_path(key), f"{artifact.path}: broken")


def _leftover_builds(store: Store) -> Iterator[Fault]:
    for path in sorted((store.root / "objects").glob(f"*/{BUILDING}*")):
        with locked_if_free(store.lock_path(path.name.removeprefix(BUILDING))) as free:
            if free:
                yield Fault("leftover_build", path, "its builder is gone")
    for path in sorted((store.root / "objects").glob(f"*/{BROKEN}*")):
        yield Fault("leftover_build", path, "was replaced by a whole one")


def _leftover_files(store: Store) -> Iterator[Fault]:
    for path in sorted((store.root / "keys").glob(".*.json.*")):
        if not _alive(path.name.rpartition(".")[2]):
            yield Fault("leftover_file", path, "its writer is gone")


def _remove_build(store: Store, path: Path) -> None:
    key = path.name.removeprefix(BUILDING) if path.name.startswith(BUILDING) else "commit"
    with locked_if_free(store.lock_path(key)) as free:
        if free:  # else somebody began to build since we looked
            shutil.rmtree(path, ignore_errors=True)


def _alive(pid: str) -> bool:
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
