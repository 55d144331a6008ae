"""MLflow records: a run for the pipeline, a run below it for each stage. The only module that imports mlflow, and not before it must.

Nothing here raises into training, and nothing waits long: when the server does not answer, a run's events go to a file under
the root (`tasks.spool`) and are sent later, with the times at which they happened.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tasks.owner import is_alive
from tasks.spool import Event, Spool, SpoolFile, Unreachable
from tasks.tracked_run import OWNER_TAG, TrackedRun

_log = logging.getLogger(__name__)

_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines for every run that ends; the result has its address
}
_REFUSALS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE"}
"""Answers that would be the same tomorrow."""
_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Has MLflow's pages show the experiment as training runs; else they begin with chats and traces, of which there are none."""


def import_client() -> Any:
    """MLflow's client, a class. Its import takes 2 s and much memory: only where runs are recorded."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient


class Tracker:
    """One experiment on one MLflow server (or in one database, sqlite:///…). `uri` None records into the spool only."""

    def __init__(self, root: Path, uri: str | None, experiment: str = "r1vl") -> None:
        self.root = root.absolute()
        self.uri = uri
        self.experiment = experiment
        self.spool = Spool(self.root)
        self._client = _Client(uri, experiment, self.root)

    def start(self, name: str, *, parent: TrackedRun | None = None, tags: Mapping[str, str] | None = None) -> TrackedRun:
        """Begin a run; use it in a `with`, which ends it FINISHED, FAILED (an error) or KILLED (a cancellation).

        The first run of a pipeline that reaches the server also sends what earlier ones had to leave in the spool.
        """
        if parent is not None:
            parent.catch_up()
        run = TrackedRun(self, name, parent, dict(tags or {}))
        if parent is None and not run.is_spooled:
            self.replay()
        return run

    def run_url(self, run_id: str | None) -> str | None:
        """Where a person looks at a run; None for a database without a server, and for a run not yet sent."""
        run_id = self.resolve(run_id)
        if run_id is None or self.uri is None or not self.uri.startswith("http"):
            return None
        try:
            return f"{self.uri}/#/experiments/{self._client.experiment_id()}/runs/{run_id}"
        except Unreachable:
            return None

    def experiment_url(self) -> str | None:
        """Where a person looks at all runs, as a table; None for a database without a server, and where it does not answer."""
        if self.uri is None or not self.uri.startswith("http"):
            return None
        try:
            return f"{self.uri}/#/experiments/{self._client.experiment_id()}/runs?workflowType=machine_learning"
        except Unreachable:
            return None

    def resolve(self, run_id: str | None) -> str | None:
        """The MLflow run behind a reference kept in an artifact's notes ("spooled:…" while it was not yet sent)."""
        if run_id is None or not run_id.startswith("spooled:"):
            return run_id
        return self.spool.sent(run_id.removeprefix("spooled:"))

    def replay(self) -> tuple[int, int]:
        """Send what runs that are over left in the spool: (runs sent, runs left because the server does not answer)."""
        sent = left = 0
        with self.spool.abandoned() as files:
            for file in files:
                try:
                    _close_if_killed(file)
                    self.send_file(file)
                    sent += 1
                except Unreachable:
                    left += 1
        return sent, left

    def abandoned(self) -> list[str]:
        """Ids of runs that are still "running" though their process on this machine is gone. Raises Unreachable."""
        return [run_id for run_id, owner in self._client.running() if owner and not is_alive(owner)]

    def reconcile(self) -> list[str]:
        """Mark every abandoned run KILLED; their ids. Call `replay` first: some may only have gone unheard. Raises Unreachable."""
        ended = self.abandoned()
        for run_id in ended:
            self._client.deliver({"op": "end", "time": _now(), "status": "KILLED"}, run_id)
        return ended

    def deliver(self, event: Event, run_id: str | None) -> str | None:
        """Tell MLflow one event of the run `run_id` (None: it starts now); the run's id. Raises Unreachable.

        What MLflow refuses for good is logged and dropped.
        """
        if event["op"] == "start" and event["parent"] is not None:
            parent_id = self.resolve(event["parent"])
            if parent_id is None:
                raise Unreachable(f"the parent run {event['parent']} was not sent yet")
            event = {**event, "tags": {**event["tags"], "mlflow.parentRunId": parent_id}}
        return self._client.deliver(event, run_id)

    def send_file(self, file: SpoolFile) -> str | None:
        """Send the unsent events of a run; the run's id. Raises Unreachable."""
        run_id = file.send(self.deliver)
        if run_id is not None:
            self.spool.note_sent(file.header()["run"], run_id)
        return run_id


class _Client:
    """The events of `tasks.spool`, said in MLflow's words."""

    def __init__(self, uri: str | None, experiment: str, root: Path) -> None:
        self.uri = uri
        self.experiment = experiment
        self.root = root
        self._mlflow: Any = None
        self._experiment_id: str | None = None

    def experiment_id(self) -> str:
        """The experiment's id; it is made if need be. Raises Unreachable."""
        if self._experiment_id is None:
            with _speaking():
                client = self._connect()
                found = client.get_experiment_by_name(self.experiment)
                self._experiment_id = found.experiment_id if found else client.create_experiment(self.experiment, self._artifacts(), _KIND)
        return self._experiment_id

    def running(self) -> Iterator[tuple[str, str | None]]:
        """Every run that has not ended: its id and the process it belongs to. Raises Unreachable."""
        experiment_id, token = self.experiment_id(), None
        while True:
            with _speaking():
                page = self._connect().search_runs([experiment_id], "attributes.status = 'RUNNING'", max_results=1000, page_token=token)
            yield from ((run.info.run_id, run.data.tags.get(OWNER_TAG)) for run in page)
            if not (token := page.token):
                return

    def deliver(self, event: Event, run_id: str | None) -> str | None:
        """Say one event; the run's id. Raises Unreachable; what MLflow refuses for good is logged and dropped."""
        try:
            with _speaking():
                if event["op"] == "start":
                    return self._start(event)
                if run_id is not None:
                    getattr(self, f"_{event['op']}")(event, run_id)
        except _Refused as refusal:
            _log.warning("MLflow refused %s of run %s: %s", event["op"], run_id, refusal)
        return run_id

    def _connect(self) -> Any:
        if self.uri is None:
            raise Unreachable("no MLflow server is up")
        if self._mlflow is None:
            logging.getLogger("alembic").setLevel(logging.WARNING)
            self._mlflow = import_client()(self.uri)
        return self._mlflow

    def _artifacts(self) -> str | None:
        """On this machine, a folder that the database and the local server both reach; elsewhere, the server decides."""
        host = urlsplit(self.uri or "").hostname
        return (self.root / "mlflow" / "artifacts").as_uri() if host in (None, "127.0.0.1", "localhost", "::1") else None

    def _start(self, event: Event) -> str:
        run = self._connect().create_run(self.experiment_id(), start_time=event["time"], tags=event["tags"], run_name=event["name"])
        return str(run.info.run_id)

    def _params(self, event: Event, run_id: str) -> None:
        from mlflow.entities import Param

        self._connect().log_batch(run_id, params=[Param(name, value[:6000]) for name, value in event["params"].items()])

    def _tags(self, event: Event, run_id: str) -> None:
        from mlflow.entities import RunTag

        self._connect().log_batch(run_id, tags=[RunTag(name, value[:8000]) for name, value in event["tags"].items()])

    def _metrics(self, event: Event, run_id: str) -> None:
        from mlflow.entities import Metric

        self._connect().log_batch(run_id, metrics=[Metric(*metric) for metric in event["metrics"]])

    def _input(self, event: Event, run_id: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        facts = json.dumps({"sha256": event["digest"], "source": event["source"]})
        dataset = Dataset(event["name"], event["digest"][:32], "r1vl", facts, profile=facts)  # MLflow takes 36 characters of a digest
        self._connect().log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", event["context"])])])

    def _file(self, event: Event, run_id: str) -> None:
        path = Path(event["path"])
        if not path.exists():
            raise _Refused(f"{path} is gone")
        if path.is_dir():
            self._connect().log_artifacts(run_id, str(path), event["folder"] or None)
        else:
            self._connect().log_artifact(run_id, str(path), event["folder"] or None)

    def _checkpoint(self, event: Event, run_id: str) -> None:
        import mlflow
        from mlflow.entities import LoggedModelOutput

        client, facts = self._connect(), {"path": event["path"], "sha256": event["digest"]}
        mlflow.set_tracking_uri(self.uri)  # create_external_model knows no other way
        model = mlflow.create_external_model(event["name"], run_id, facts, facts, experiment_id=self.experiment_id())
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, event["step"])])
        name = f"{self.experiment}-{event['name']}"
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        version = client.create_model_version(
            name, f"models:/{model.model_id}", run_id, facts, model_id=model.model_id, await_creation_for=0
        )
        client.set_registered_model_alias(name, "newest", version.version)

    def _end(self, event: Event, run_id: str) -> None:
        self._connect().set_terminated(run_id, event["status"], event["time"])


class _Refused(Exception):
    """MLflow will not take this, today or tomorrow."""


@contextmanager
def _speaking() -> Iterator[None]:
    """Sorts what MLflow raises into what is lost and what can be said later."""
    try:
        yield
    except ImportError as error:
        raise Unreachable(f"mlflow cannot be imported: {error}") from error
    except OSError as error:
        raise Unreachable(str(error)) from error
    except _mlflow_errors() as error:
        reason = str(error).splitlines()[0]
        if getattr(error, "error_code", None) in _REFUSALS:
            raise _Refused(reason) from error
        raise Unreachable(reason) from error


def _mlflow_errors() -> tuple[type[Exception], ...]:
    """What the client raises; evaluated only once something was raised, when mlflow is imported anyway."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError


def _now() -> int:
    return time.time_ns() // 1_000_000


def _close_if_killed(file: SpoolFile) -> None:
    """A run whose process died wrote no end: it ended with the last thing it said."""
    events = file.events()
    if events and events[-1]["op"] != "end":
        file.append({"op": "end", "time": events[-1]["time"], "status": "KILLED"})
