"""Which run is meant: a key, a digest, a name or a path, as people have it at hand; a wrong one is told with those there are."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from flows.results import POLICIES, RunResult, read_result
from r1vl_core.data import responses
from tasks.files import BrokenArtifact
from tasks.store import Artifact, Store

_SHORTEST = 4
"""Characters of a key, a digest or a run's id that may stand for the whole."""
_SHOWN = 6


def place_of(root: Path, given: str) -> Path:
    """The folder or file of a run. Raises ValueError saying what a run may be, and which there are."""
    path, store = Path(given), Store(root)
    if path.is_file() or (path.is_dir() and _is_evaluation(path)):
        return path
    artifact = _by_digits(store, given) or _by_policy(store, given) or _by_pipeline_run(store, root, given)
    if artifact is not None:
        return artifact.path
    if path.is_dir():
        raise ValueError(
            f"{given}: a folder that holds no evaluation, nor a checkpoint that was evaluated; {_there_are(store, root, given)}"
        )
    which = "run of the whole pipeline" if given == "last" else f"run {given!r}"
    raise ValueError(f"no {which} under {root}: {_there_are(store, root, given)}")


def _by_digits(store: Store, given: str) -> Artifact | None:
    """The evaluation whose key or digest begins so."""
    if not _may_be_digits(given):
        return None
    found = {one.digest: one for one in _evaluations(store) if one.key.startswith(given) or one.digest.startswith(given)}
    if len(found) > 1:
        raise ValueError(f"{given} begins the keys or digests of {len(found)} evaluations; give more of it")
    return next(iter(found.values()), None)


def _may_be_digits(given: str) -> bool:
    return len(given) >= _SHORTEST and not set(given) - set("0123456789abcdef")


def _by_policy(store: Store, given: str) -> Artifact | None:
    """The newest evaluation of a preset's policy, a checkpoint's or a served model's."""
    return next((one for one in _evaluations(store) if _policy(one) == given), None)


def _by_pipeline_run(store: Store, root: Path, given: str) -> Artifact | None:
    """What a pipeline's run evaluated: "last", a run's id or how it begins, its name, or the newest run of a preset."""
    if (root / "runs" / f"{given}.json").is_file():
        return _evaluated(store, read_result(root, given))
    runs = _pipeline_runs(root)
    begun = [run for run in runs if len(given) >= _SHORTEST and run.run_id.startswith(given)]
    if len(begun) > 1:
        raise ValueError(f"{given} begins the ids of {len(begun)} runs; give more of it")
    meant = begun or [run for run in runs if given in (run.preset, _name(run))]
    return _evaluated(store, meant[0]) if meant else None


def _evaluated(store: Store, run: RunResult) -> Artifact | None:
    return _whole(store, run.stages["evaluate"].key) if "evaluate" in run.stages else None


def _pipeline_runs(root: Path) -> list[RunResult]:
    """Runs that evaluated their policies, the newest first."""
    files = sorted((root / "runs").glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    runs = [read_result(root, file.stem) for file in files if file.stem != "last"]
    return [run for run in runs if "evaluate" in run.stages]


def _name(run: RunResult) -> str:
    return f"{run.preset} seed {run.seed}"


def _evaluations(store: Store) -> Iterator[Artifact]:
    """Of `r1vl eval` and of pipelines, the newest first."""
    return (one for one in store.artifacts() if _is_evaluation(one.path))


def _is_evaluation(folder: Path) -> bool:
    return (folder / responses.FILE).is_file() or all((folder / f"{name}.parquet").is_file() for name in POLICIES)


def _policy(artifact: Artifact) -> str | None:
    """Who was asked by `r1vl eval`; None for a pipeline's own evaluation."""
    file = artifact.path / responses.FILE
    return responses.read_evaluation(file).policy if file.is_file() else None


def _whole(store: Store, key: str) -> Artifact | None:
    try:
        return store.read(key, "size")
    except (BrokenArtifact, FileNotFoundError):
        return None


def _there_are(store: Store, root: Path, given: str) -> str:
    """What may be meant, the newest first."""
    asked = [(one, name) for one in _evaluations(store) if (name := _policy(one)) is not None]
    policies = {one.key[:12]: name for one, name in asked}
    runs = {run.run_id: _name(run) for run in _pipeline_runs(root)}
    if not policies and not runs:
        return "there is none; `r1vl eval` makes evaluations, `r1vl run` whole runs, and `r1vl score --rows` files to compare"
    near = get_close_matches(
        given, [*policies.values(), *runs.values(), *policies, *runs, *(name.split()[0] for name in runs.values())], n=1
    )
    known = [f"{name} (key {one.key[:12]}, of {one.made['created'][:16].replace('T', ' ')} UTC)" for one, name in asked] + [
        f"{name} (run {run_id})" for run_id, name in runs.items()
    ]
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return (
        f"{f'did you mean {near[0]}? ' if near else ''}there are {', '.join(known[:_SHOWN])}{more}; or give an evaluation's folder or "
        "DuckDB file, or what `r1vl score --rows` wrote"
    )
