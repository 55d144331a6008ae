"""A training stage's reports and rollouts, kept with its artifact, and what they mean apart from how long it took.

The trainer's record in the work folder holds both, a line a step. The artifact holds each once: the metrics as JSON lines, the rollouts
as Parquet (`r1vl_core.data.rollouts`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1vl_core.data.rollouts import FOLDER, write_rollouts
from r1vl_core.report import Report, repeatable

if TYPE_CHECKING:
    from tasks.stages import Build

REPORTS = "reports.jsonl"
"""Name of the file, in the work folder and in the artifact."""


def collect_reports(job: Build) -> dict[str, float]:
    """Copy the reports, less their samples, into the artifact; the last step's metrics."""
    metrics: dict[str, float] = {}
    with (job.out / REPORTS).open("w", encoding="utf-8") as file:
        for line in _lines(job.work):
            metrics = line["metrics"]
            file.write(json.dumps({"step": line["step"], "num_steps": line["num_steps"], "metrics": metrics}) + "\n")
    return metrics


def collect_rollouts(job: Build) -> dict[str, str]:
    """Turn the samples of all reports into Parquet in the artifact; the digest of what each file means, by its name."""
    digests = write_rollouts(job.out / FOLDER, (line["samples"] for line in _lines(job.work)))
    return {f"{FOLDER}/{name}": digest for name, digest in digests.items()}


def read_reports(folder: Path) -> tuple[Report, ...]:
    """All reports of an artifact in order of their steps, without samples."""
    return tuple(iterate_reports(folder))


def iterate_reports(folder: Path) -> Iterator[Report]:
    """The same one by one, as they are read: of a record that is being written, the last line may be half there."""
    for line in _lines(folder):
        yield Report(line["step"], line["num_steps"], line["metrics"])


def meaning_of_reports(folder: Path) -> dict[str, str]:
    """Digest of an artifact's reports less every time and memory figure, which no two builds share."""
    digest = hashlib.sha256()
    for report in read_reports(folder):
        digest.update(json.dumps([report.step, repeatable(report.metrics), report.samples], sort_keys=True).encode())
    return {REPORTS: digest.hexdigest()}


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    with (folder / REPORTS).open(encoding="utf-8") as file:
        yield from map(json.loads, file)
