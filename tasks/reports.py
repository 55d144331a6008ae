"""A training stage's reports, kept with its artifact, and what they mean apart from how long it took."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from r1vl_core.report import Report
from tasks.stages import Build

REPORTS = "reports.jsonl"
"""Name of the file, in the work folder and in the artifact."""

_TIMED = ("seconds", "per_second", "memory", "tokens_per_s")


def collect_reports(job: Build) -> dict[str, float]:
    """Copy the reports into the artifact; the last step's metrics."""
    shutil.copyfile(job.work / REPORTS, job.out / REPORTS)
    return read_reports(job.out)[-1].metrics


def read_reports(folder: Path) -> tuple[Report, ...]:
    """All reports of an artifact, samples included, in order of their steps."""
    from r1vl_core.training import checkpoint  # torch is imported only where a stage is really built

    return tuple(checkpoint.read_reports(folder))


def sampled_paths(folder: Path) -> Iterator[tuple[str, str]]:
    """(question id, text) of every path that StepGRPO sampled, in order of the steps; needs no torch. Raises ValueError."""
    path = folder / REPORTS
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield from ((sample["question_id"], sample["text"]) for sample in json.loads(line)["samples"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not the reports of a StepGRPO run ({error}); run the stage again") from None


def meaning_of_reports(folder: Path) -> dict[str, str]:
    """Digest of the reports less every time and memory figure, which no two builds share."""
    digest = hashlib.sha256()
    for report in read_reports(folder):
        metrics = {name: value for name, value in sorted(report.metrics.items()) if not any(word in name for word in _TIMED)}
        digest.update(json.dumps([report.step, metrics, report.samples], sort_keys=True).encode())
    return {REPORTS: digest.hexdigest()}
