"""A tracked run under way: takes what a stage has to say, buffers it, and never raises into training."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from tasks.owner import this_process
from tasks.provenance import commit
from tasks.spool import Event, Spool, SpoolFile, Unreachable

_log = logging.getLogger(__name__)

OWNER_TAG = "r1vl.process"
"""Tag with the process a run belongs to, by which a dead one is known."""
MAX_METRICS = 1000
"""Metrics that MLflow takes in one call."""
_MAX_PARAMS = 100
_FLUSH_S = 10.0
_RETRY_S = 300.0


class Desk(Protocol):
    """Where a run hands in its events."""

    spool: Spool

    def deliver(self, event: Event, run_id: str | None) -> str | None:
        """Tell MLflow one event; the run's id. Raises Unreachable."""

    def send_file(self, file: SpoolFile) -> str | None:
        """Tell MLflow what was spooled; the run's id. Raises Unreachable."""


class TrackedRun:
    """A run under way. Every method may be called from any thread, returns at once or nearly so, and never raises."""

    def __init__(self, desk: Desk, name: str, parent: TrackedRun | None, tags: dict[str, str]) -> None:
        self.local_id = uuid.uuid4().hex
        self.name = name
        self._desk = desk
        self._lock = threading.RLock()
        self._metrics: list[tuple[str, float, int, int]] = []
        self._flushed = time.monotonic()
        self._retry_at = 0.0
        self._run_id: str | None = None
        self._file: SpoolFile | None = None
        self._over = False
        self._started = _now()
        own = {"mlflow.runName": name, "mlflow.source.name": "r1vl", "mlflow.source.git.commit": commit(), OWNER_TAG: this_process()}
        parent_reference = None if parent is None else parent.reference
        self._emit({"op": "start", "name": name, "parent": parent_reference, "tags": {**own, **tags}})

    @property
    def reference(self) -> str:
        """What to remember of this run: MLflow's id, or "spooled:…" which `Tracker.resolve` turns into it later."""
        return self._run_id or f"spooled:{self.local_id}"

    @property
    def is_spooled(self) -> bool:
        """Whether there are events that MLflow has not taken yet."""
        return self._file is not None

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Settings, once each."""
        items = [(name, str(value)) for name, value in params.items()]
        for start in range(0, len(items), _MAX_PARAMS):
            self._emit({"op": "params", "params": dict(items[start : start + _MAX_PARAMS])})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tags; a later value replaces an earlier one."""
        self._emit({"op": "tags", "tags": dict(tags)})

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Numbers at a step; kept until there are many or some seconds have passed, then sent in one call."""
        with self._lock:
            self._metrics += [(name, float(value), _now(), step) for name, value in metrics.items()]
            if len(self._metrics) >= MAX_METRICS or time.monotonic() - self._flushed >= _FLUSH_S:
                self.flush()

    def log_input(self, name: str, digest: str, source: str, context: str) -> None:
        """A data set this run reads: its own sha256 `digest`, and where it came from."""
        self._emit({"op": "input", "name": name, "digest": digest, "source": source, "context": context})

    def log_file(self, path: Path, folder: str = "") -> None:
        """Keep a copy of a small file, or of a folder of them."""
        self._emit({"op": "file", "path": str(path), "folder": folder})

    def log_checkpoint(self, name: str, path: Path, digest: str, step: int = 0) -> None:
        """A model this run made: where it lies in our store and its digest, never a copy of its weights."""
        self._emit({"op": "checkpoint", "name": name, "path": str(path), "digest": digest, "step": step})

    def flush(self) -> None:
        """Send what is kept."""
        with self._lock:
            self._flushed = time.monotonic()
            while self._metrics:
                self._emit({"op": "metrics", "metrics": self._metrics[:MAX_METRICS]})
                self._metrics = self._metrics[MAX_METRICS:]
            if self._file is not None and time.monotonic() >= self._retry_at:
                self.catch_up()

    def finish(self, status: str = "FINISHED") -> None:
        """End the run: FINISHED, FAILED or KILLED. A second call does nothing."""
        with self._lock:
            if self._over:
                return
            self.flush()
            self._emit({"op": "end", "status": status})
            self._over = True
            self.catch_up()
            if self._file is not None:
                self._file.let_go()

    def catch_up(self) -> None:
        """Try to send what was spooled; from then on events go to the server again."""
        with self._lock:
            if self._file is None:
                return
            self._retry_at = time.monotonic() + _RETRY_S
            try:
                self._run_id = self._desk.send_file(self._file)
            except (Unreachable, OSError):
                return
            self._file.let_go()
            self._file = None

    def __enter__(self) -> TrackedRun:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self.set_tags({"r1vl.error": f"{type(error).__name__}: {error}"[:2000]})
        killed = error is not None and not isinstance(error, Exception)
        self.finish("KILLED" if killed else "FAILED" if error is not None else "FINISHED")

    def _emit(self, event: Event) -> None:
        with self._lock:
            if self._over:
                return
            event["time"] = self._started if event["op"] == "start" else _now()
            if self._file is None:
                try:
                    self._run_id = self._desk.deliver(event, self._run_id)
                    return
                except Unreachable as error:
                    _log.warning(
                        "%s: the records of %s are kept in %s, for the next run that finds a server",
                        error,
                        self.name,
                        self._desk.spool.folder,
                    )
            self._keep(event)

    def _keep(self, event: Event) -> None:
        try:
            if self._file is None:
                file = self._desk.spool.file(self._started, self.local_id)
                file.hold()
                file.begin(self.local_id, self._run_id)
                self._retry_at = time.monotonic() + _RETRY_S
                self._file = file
            self._file.append(event)
        except OSError as error:
            _log.warning("the records of %s are lost: %s: %s", self.name, self._desk.spool.folder, error.strerror)


def _now() -> int:
    return time.time_ns() // 1_000_000
