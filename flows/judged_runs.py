"""Which run is meant, and what it got right: evaluations, the pipeline's own policies, and files of verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.benchmark_scores import records
from flows.results import POLICIES, read_result
from r1vl_core.data import responses
from r1vl_core.evaluation.comparison import Answers, Verdict
from tasks.files import BrokenArtifact
from tasks.store import Artifact, Store

HELD_OUT = "heldout"
"""What the pipeline's own evaluation file is called among the benchmarks."""

_SHORTEST_KEY = 4


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """A policy's verdicts, benchmark by benchmark; `profile` is None where nothing says which. `notes` are for the reader.

    >>> JudgedRun("StepGRPO", "strict", {"mmstar": {"0": Verdict(True)}}).notes
    ()
    """

    name: str
    profile: str | None
    answers: Mapping[str, Answers]
    notes: tuple[str, ...] = ()


def judged_run(root: Path, given: str, profile: str | None) -> JudgedRun:
    """The run that `given` names. Raises ValueError saying what it may be, and where the profile is not one it was judged by."""
    run, _, policy = given.rpartition(":") if given.rpartition(":")[2] in POLICIES else (given, "", "stepgrpo")
    place = place_of(root, run)
    if place.is_dir() and (place / f"{policy}.parquet").is_file():
        return _of_pipeline(place, policy, run, profile)
    file = place / responses.FILE if place.is_dir() else place
    if not file.is_file():
        raise ValueError(f"{place}: holds neither {responses.FILE} nor the responses of a pipeline's policies; give an evaluation's folder")
    return _of_evaluation(file, profile) if file.suffix == ".duckdb" else _of_rows(file, profile)


def has_both_policies(root: Path, given: str) -> bool:
    """Whether a run is one of the whole pipeline, which evaluated two policies."""
    place = place_of(root, given)
    return place.is_dir() and all((place / f"{name}.parquet").is_file() for name in POLICIES)


def place_of(root: Path, given: str) -> Path:
    """The folder or file of a run. Raises ValueError saying what a run may be."""
    if Path(given).exists():
        return Path(given)
    artifact = _by_key(Store(root), given) or _by_policy(Store(root), given) or _by_pipeline_run(Store(root), root, given)
    if artifact is None:
        raise ValueError(
            f"no run {given!r} under {root}: give an evaluation's key (its first letters will do), a preset's name, a folder, a DuckDB "
            "file, or what `r1vl score --rows` wrote; `r1vl eval` makes evaluations, `r1vl run` whole runs"
        )
    return artifact.path


def evaluation_file(root: Path, given: str) -> Path:
    """The database of an evaluation of `r1vl eval`. Raises ValueError for any other run."""
    place = place_of(root, given)
    file = place / responses.FILE if place.is_dir() else place
    if file.suffix != ".duckdb" or not file.is_file():
        raise ValueError(f"{given}: no evaluation of `r1vl eval`; a pipeline's own answers stand in its report (`r1vl results`)")
    return file


def _by_key(store: Store, given: str) -> Artifact | None:
    if len(given) < _SHORTEST_KEY or set(given) - set("0123456789abcdef"):
        return None
    found = [_whole(store, key) for key in store.all_keys() if key.startswith(given)]
    evaluations = {one.digest: one for one in found if one is not None and _is_evaluation(one.path)}
    if len(evaluations) > 1:
        raise ValueError(f"{given} begins the keys of {len(evaluations)} evaluations; give more of it")
    return next(iter(evaluations.values()), None)


def _by_policy(store: Store, given: str) -> Artifact | None:
    """The newest evaluation of a preset's policy, a checkpoint's or a served model's."""
    for artifact in store.artifacts():
        file = artifact.path / responses.FILE
        if file.is_file() and responses.read_evaluation(file).policy == given:
            return artifact
    return None


def _by_pipeline_run(store: Store, root: Path, given: str) -> Artifact | None:
    """What a pipeline's run evaluated: "last", a run's id, or the newest run of a preset."""
    files = sorted((root / "runs").glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    names = [given] if (root / "runs" / f"{given}.json").is_file() else [file.stem for file in files if file.stem != "last"]
    for name in names:
        result = read_result(root, name)
        if "evaluate" in result.stages and given in (name, result.preset):
            return _whole(store, result.stages["evaluate"].key)
    return None


def _whole(store: Store, key: str) -> Artifact | None:
    try:
        return store.read(key, "size")
    except (BrokenArtifact, FileNotFoundError):
        return None


def _is_evaluation(folder: Path) -> bool:
    return (folder / responses.FILE).is_file() or all((folder / f"{name}.parquet").is_file() for name in POLICIES)


def _of_pipeline(folder: Path, policy: str, run: str, profile: str | None) -> JudgedRun:
    from r1vl_core.evaluation.evaluate import is_right, read_responses  # with it comes torch, which no other run needs

    if profile not in (None, "strict"):
        raise ValueError(f"--profile {profile}: {run} is a pipeline's own evaluation, which knows strict alone; leave the option out")
    rows = read_responses(folder / f"{policy}.parquet")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    partial = summary.get("partial")
    notes = (f"{POLICIES[policy]}: partial, the first {partial['answered']} of {partial['all']} rows",) if partial else ()
    return JudgedRun(POLICIES[policy], "strict", {HELD_OUT: {row.index: Verdict(is_right(row), gold=row.answer) for row in rows}}, notes)


def _of_evaluation(file: Path, profile: str | None) -> JudgedRun:
    profile = profile or "paper"
    evaluation = responses.read_evaluation(file)
    asked = {(row.benchmark, row.row_index): row for row in responses.read_questions(file)}
    verdicts = responses.read_verdicts(file, profile)
    if not verdicts:
        raise ValueError(f"{file}: holds no verdicts by the profile {profile}; give --profile one that it was scored by")
    answers: dict[str, dict[str, Verdict]] = {}
    num_samples = 1 + max(one.sample for one in verdicts)
    for one in verdicts:
        row = asked[one.benchmark, one.row_index]
        cluster = row.group_key or (one.row_index if num_samples > 1 else None)  # samples of a row are no evidence apart
        name = f"{one.row_index} (sample {one.sample + 1})" if one.sample else one.row_index
        answers.setdefault(one.benchmark, {})[name] = Verdict(one.correct, cluster, row.answer)
    notes = [f"{evaluation.policy}: partial, only some rows were asked"] if evaluation.partial else []
    if judge := evaluation.settings.get("judge"):
        notes.append(f"{evaluation.policy}: decided by the judge {judge['model']} where no rule does")
    if num_samples > 1:
        notes.append(
            f"{evaluation.policy}: {num_samples} samples a row, each compared with the other's of the same number; they hang together"
        )
    return JudgedRun(evaluation.policy, profile, answers, tuple(notes))


def _of_rows(file: Path, profile: str | None) -> JudgedRun:
    """What `r1vl score --rows` wrote."""
    answers: dict[str, dict[str, Verdict]] = {}
    profiles: set[str | None] = set()
    for place, record in records(file):
        if not isinstance(record, dict) or not isinstance(record.get("correct"), bool) or "index" not in record:
            raise ValueError(f"{place}: no verdict; give what `r1vl score --rows` writes, with index and correct")
        rows = answers.setdefault(str(record.get("benchmark", "rows")), {})
        if str(record["index"]) in rows:
            raise ValueError(f"{place}: row {record['index']!r:.80} has a verdict already; keep one")
        group, gold = (None if record.get(name) is None else str(record[name]) for name in ("group", "gold"))
        rows[str(record["index"])] = Verdict(record["correct"], group, gold)
        profiles.add(record.get("profile"))
    if not answers:
        raise ValueError(f"{file}: holds no verdict; give what `r1vl score --rows` wrote")
    if len(profiles) > 1 or (profile is not None and profiles - {None, profile}):
        raise ValueError(f"{file}: judged by {', '.join(sorted(map(str, profiles)))}, wanted {profile or 'one profile'}; score it anew")
    return JudgedRun(file.stem, next(iter(profiles)), answers)
