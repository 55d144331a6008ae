"""What could not be sent to MLflow yet: one file of JSON lines a run, kept until a server takes it.

    spool/<started>-<run>.jsonl   the events of one run, in order; the first line says which run
    spool/sent/<run>              the MLflow run that a run of ours became

A file is locked while the process that writes it lives, so nobody sends a run that is still under way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tasks.files import write_atomically
from tasks.locks import locked, locked_if_free

Event = dict[str, Any]
"""One thing to tell MLflow: "op", "time" (milliseconds since 1970) and what the operation needs."""

_AT_ONCE = ("start", "checkpoint")
"""Operations that would show twice if sent twice: the file is written anew right after each."""


class Unreachable(Exception):
    """The tracking server did not take an event, and may take it later."""


class SpoolFile:
    """The unsent events of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held = ExitStack()

    @property
    def lock_path(self) -> Path:
        """Held by the process whose run this is."""
        return self.path.with_suffix(".lock")

    def hold(self) -> None:
        """Keep everybody else from sending this run, for as long as this process lives or until `let_go`."""
        self._held.enter_context(locked(self.lock_path))

    def let_go(self) -> None:
        """This run is over; remove the file if nothing is left to send."""
        if self.path.exists() and not self.events():
            self.path.unlink()
        if not self.path.exists():
            self.lock_path.unlink(missing_ok=True)
        self._held.close()

    def append(self, event: Event) -> None:
        """Add one event at the end. Raises OSError when the disk will not take it."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    def header(self) -> Event:
        """The first line: {"run": our id, "mlflow_run_id": theirs or None}."""
        return next(self._lines(), {"run": self.path.stem.partition("-")[2], "mlflow_run_id": None})

    def events(self) -> list[Event]:
        """Everything after the first line."""
        return list(self._lines())[1:]

    def begin(self, run: str, mlflow_run_id: str | None, events: list[Event] | None = None) -> None:
        """Write the file anew."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines: list[Event] = [{"run": run, "mlflow_run_id": mlflow_run_id}, *(events or [])]
        write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in lines))

    def send(self, deliver: Callable[[Event, str | None], str | None]) -> str | None:
        """Hand each event to `deliver(event, mlflow_run_id)`, which returns the MLflow run's id; that id at the end.

        Raises Unreachable when one was not taken; it and those behind it stay for the next time.
        """
        header, events = self.header(), self.events()
        run: str = header["run"]
        run_id: str | None = header["mlflow_run_id"]
        try:
            while events:
                run_id = deliver(events[0], run_id)
                event = events.pop(0)
                if event["op"] in _AT_ONCE:
                    self.begin(run, run_id, events)
        finally:
            self.begin(run, run_id, events)
        return run_id

    def _lines(self) -> Iterator[Event]:
        if not self.path.exists():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:  # the last line of a process that was killed while writing it
                return


class Spool:
    """All runs not yet sent, under one root."""

    def __init__(self, root: Path) -> None:
        self.folder = root.absolute() / "spool"

    def file(self, started_ms: int, run: str) -> SpoolFile:
        """The file of one run; names sort by start, so a pipeline's run comes before its stages'."""
        return SpoolFile(self.folder / f"{started_ms:015d}-{run}.jsonl")

    @contextmanager
    def abandoned(self) -> Iterator[list[SpoolFile]]:
        """The files whose process is gone, the oldest first, held while the caller sends them."""
        with ExitStack() as stack:
            found = []
            for path in sorted(self.folder.glob("*.jsonl")):
                file = SpoolFile(path)
                if stack.enter_context(locked_if_free(file.lock_path)):
                    found.append(file)
            yield found
            for file in found:
                if not file.events():
                    file.path.unlink(missing_ok=True)
                    file.lock_path.unlink(missing_ok=True)

    def note_sent(self, run: str, mlflow_run_id: str) -> None:
        """Remember which MLflow run a run of ours became."""
        (self.folder / "sent").mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "sent" / run, mlflow_run_id)

    def sent(self, run: str) -> str | None:
        """The MLflow run that a run of ours became after it had been spooled; None when it was not sent yet."""
        path = self.folder / "sent" / run
        return path.read_text(encoding="utf-8") if path.exists() else None
