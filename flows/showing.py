"""A stage's events shown in Prefect: its lines in the run's log, its reports as a progress artifact."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from types import TracebackType
from typing import cast
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging.handlers import APILogHandler

from flows.progress import ForwardedLog, Progress, artifact_key
from tasks.stages import StageEvent

_RETRY_S = 300.0
"""Prefect's client asks a server that is gone again for more than a minute, and the stage waits: not at every step."""


class Show:
    """Takes the events of one stage, for the time of a `with` inside a Prefect task; whole lines go to root/logs/runs/<run>/<stage>.log.

    A Prefect server that does not answer costs the progress bar, never the stage.
    """

    def __init__(self, stage: str, root: Path, run_id: str) -> None:
        self._stage = stage
        self._logger = get_run_logger()
        self._log = ForwardedLog(root / "logs" / "runs" / run_id / f"{stage}.log", self._logger)
        self._progress = Progress(self._publish)
        self._artifact: UUID | None = None
        self._retry_at = 0.0

    def __enter__(self) -> Show:
        self._log.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._log.__exit__(kind, error, trace)
        if self._log.has_warned:
            APILogHandler().flush()  # whoever follows the run stops reading when its last stage is over

    def __call__(self, event: StageEvent) -> None:
        """One event of the stage."""
        if event.kind == "log":
            self._log(event.text)
        elif event.kind == "report" and event.report is not None:
            self._progress(event.report.step, event.report.num_steps, event.report.metrics)
        elif event.kind == "waiting":
            self._publish(0.0, f"waiting: {event.text}")
        elif event.kind == "cached" and self._artifact is not None:
            self._publish(100.0, "built by the process waited for")

    def keep(self, text: str) -> None:
        """Write text to the file alone."""
        self._log.keep(text)

    def _publish(self, percent: float, line: str) -> None:
        self._log(line)
        if time.monotonic() < self._retry_at:
            return
        try:
            if self._artifact is None:
                self._artifact = cast(UUID, create_progress_artifact(percent, key=artifact_key(self._stage), description=line))
            else:
                update_progress_artifact(self._artifact, percent, description=line)
        except httpx.HTTPError as error:
            self._retry_at = time.monotonic() + _RETRY_S
            logging.getLogger(__name__).warning("Prefect does not take the progress of %s: %s", self._stage, error)
