"""A training's metrics, step by step, in its tracked run: all of them, also of steps that an earlier life of the training took.

A training that was killed goes on from its checkpoint in a run of its own, and what its earlier run had not sent by then is in no run. The
record that the trainer keeps in its work folder, and hands on with the artifact, has every step.
"""

from __future__ import annotations

from pathlib import Path

from r1vl_core.report import Report
from tasks.reports import REPORTS, iterate_reports
from tasks.tracked_run import TrackedRun


class Curve:
    """What of a training's reports its run has been told."""

    def __init__(self, run: TrackedRun) -> None:
        self._run = run
        self._told: set[int] = set()

    def tell(self, report: Report, work: Path) -> None:
        """A step's metrics, and before the first of them those of the steps on record in `work`."""
        if not self._told:
            self.complete(work, before=report.step)
        self._told.add(report.step)
        self._run.log_metrics(report.metrics, report.step)

    def complete(self, folder: Path, before: int | None = None) -> None:
        """All steps on record in `folder`, if it has a record, that have not been told, up to the one `before`."""
        if not (folder / REPORTS).is_file():
            return
        for report in iterate_reports(folder):
            if report.step == before:
                return
            if report.step not in self._told:
                self._told.add(report.step)
                self._run.log_metrics(report.metrics, report.step)
