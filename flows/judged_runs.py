"""What a run got right: evaluations, the pipeline's own policies, and files of verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.benchmark_scores import records
from flows.named_runs import place_of
from flows.results import POLICIES
from r1vl_core.data import responses
from r1vl_core.evaluation.comparison import Answers, Verdict

HELD_OUT = "heldout"
"""What the pipeline's own evaluation file is called among the benchmarks."""


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """A policy's verdicts, benchmark by benchmark, out of the folder or file `place`; `profile` is None where nothing says which. `notes`
    are for the reader.

    >>> JudgedRun("StepGRPO", "strict", {"mmstar": {"0": Verdict(True)}}, Path("evaluation")).notes
    ()
    """

    name: str
    profile: str | None
    answers: Mapping[str, Answers]
    place: Path
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


def evaluation_file(root: Path, given: str) -> Path:
    """The database of an evaluation of `r1vl eval`. Raises ValueError for any other run."""
    place = place_of(root, given)
    file = place / responses.FILE if place.is_dir() else place
    if file.suffix != ".duckdb" or not file.is_file():
        raise ValueError(f"{given}: no evaluation of `r1vl eval`; a pipeline's own answers stand in its report (`r1vl results`)")
    return file


def _of_pipeline(folder: Path, policy: str, run: str, profile: str | None) -> JudgedRun:
    from r1vl_core.evaluation.evaluate import is_right, read_responses  # with it comes torch, which no other run needs

    if profile not in (None, "strict"):
        raise ValueError(f"--profile {profile}: {run} is a pipeline's own evaluation, which knows strict alone; leave the option out")
    rows = read_responses(folder / f"{policy}.parquet")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    partial = summary.get("partial")
    notes = (f"partial, the first {partial['answered']} of {partial['all']} rows",) if partial else ()
    answers = {HELD_OUT: {row.index: Verdict(is_right(row), gold=row.answer) for row in rows}}
    return JudgedRun(POLICIES[policy], "strict", answers, folder / f"{policy}.parquet", notes)


def _of_evaluation(file: Path, profile: str | None) -> JudgedRun:
    profile = profile or "paper"
    evaluation = responses.read_evaluation(file)
    asked = {(row.benchmark, row.row_index): row for row in responses.read_questions(file)}
    verdicts = responses.read_verdicts(file, profile)
    if not verdicts:
        raise ValueError(f"{file}: holds no verdicts by the profile {profile}; give --profile one that it was scored by")
    samples: dict[tuple[str, str], list[bool]] = {}
    for one in verdicts:
        samples.setdefault((one.benchmark, one.row_index), []).append(one.correct)
    answers: dict[str, dict[str, Verdict]] = {}
    for (benchmark, index), right in samples.items():
        row = asked[benchmark, index]
        answers.setdefault(benchmark, {})[index] = Verdict(sum(right), row.group_key, row.answer, len(right))
    notes = ["partial, only some rows were asked"] if evaluation.partial else []
    if judge := evaluation.settings.get("judge"):
        notes.append(f"decided by the judge {judge['model']} where no rule does")
    return JudgedRun(evaluation.policy, profile, answers, file, tuple(notes))


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
    return JudgedRun(file.stem, next(iter(profiles)), answers, file)
