"""MLflow hears everything, once, with the times at which it happened: at once, or when it is back."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from r1vl_core.config import Preset, Runtime
from r1vl_core.report import Report
from tasks.inputs import Inputs
from tasks.locks import locked
from tasks.recipe import Recipe
from tasks.reports import REPORTS, collect_reports
from tasks.stages import Build, Stage, bring_up_to_date, run_stage
from tasks.store import Store
from tasks.tracked_run import TrackedRun
from tasks.tracking import Tracker
from tests.tasks.test_stages import Kitchen, preset

ROOT = Path(__file__).parents[2]
SHA256 = "ab" * 32


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated MLflow database to copy: making one takes seconds."""
    session = tmp_path_factory.getbasetemp()
    folder = (session.parent if "PYTEST_XDIST_WORKER" in os.environ else session) / "mlflow-template"  # one for all workers
    with locked(folder / "lock"):
        if not (folder / "done").exists():
            MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
            (folder / "done").touch()
    return folder / "mlflow.db"


@pytest.fixture
def uri(tmp_path: Path, empty_database: Path) -> str:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def closed_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def runs(uri: str) -> dict[str, Run]:
    client = MlflowClient(uri)
    ids = [experiment.experiment_id for experiment in client.search_experiments() if experiment.name == "r1vl"]
    return {str(run.info.run_name): run for run in client.search_runs(ids, order_by=["attributes.start_time ASC"])}


def say_everything(run: TrackedRun, folder: Path) -> None:
    """One of each kind of event."""
    (folder / "page.html").write_text("<p>hello")
    run.log_params({"alpha": 0.1, "long": "x" * 7000, **{f"p{n}": n for n in range(150)}})
    for step in range(1, 301):
        run.log_metrics({f"m{n}": n + step / 1000 for n in range(12)}, step)
    run.set_tags({"r1vl.key": "3f2a"})
    run.log_input("curate", SHA256, "objects/curate", context="warmup")
    run.log_file(folder / "page.html")
    run.log_checkpoint("warmup", folder, SHA256, step=300)


def check_everything(uri: str, run: Run) -> None:
    client = MlflowClient(uri)
    assert run.info.status == "FINISHED"
    assert run.data.params["alpha"] == "0.1"
    assert len(run.data.params) == 152
    history = client.get_metric_history(run.info.run_id, "m7")
    assert [(metric.step, metric.value) for metric in history] == [(step, 7 + step / 1000) for step in range(1, 301)]
    assert run.data.tags["r1vl.key"] == "3f2a"
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.digest == SHA256[:32]
    assert SHA256 in dataset.dataset.profile
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["page.html"]
    (output,) = run.outputs.model_outputs
    assert client.get_logged_model(output.model_id).params["sha256"] == SHA256
    assert client.get_model_version_by_alias("r1vl-warmup", "newest").run_id == run.info.run_id


def test_a_stages_run_lies_below_the_pipelines(uri: str, root: Path, tmp_path: Path) -> None:
    tracker = Tracker(root, uri)
    with tracker.start("pipeline", tags={"prefect.flow_run_id": "f1"}) as parent, tracker.start("warmup", parent=parent) as run:
        say_everything(run, tmp_path)
    found = runs(uri)
    check_everything(uri, found["warmup"])
    assert found["warmup"].data.tags["mlflow.parentRunId"] == found["pipeline"].info.run_id == parent.reference
    assert found["pipeline"].data.tags["prefect.flow_run_id"] == "f1"
    assert not (root / "spool").exists()


def test_without_a_server_training_goes_on_and_the_records_are_sent_later(uri: str, root: Path, tmp_path: Path) -> None:
    away = Tracker(root, f"http://127.0.0.1:{closed_port()}")
    before_ms = time.time_ns() // 1_000_000
    with away.start("pipeline") as parent, away.start("warmup", parent=parent) as run:
        say_everything(run, tmp_path)
    after_ms = time.time_ns() // 1_000_000
    assert run.reference == f"spooled:{run.local_id}"
    assert away.resolve(run.reference) is None
    assert away.replay() == (0, 2)

    back = Tracker(root, uri)
    assert back.replay() == (2, 0)
    assert back.replay() == (0, 0)
    found = runs(uri)
    check_everything(uri, found["warmup"])
    assert found["warmup"].data.tags["mlflow.parentRunId"] == found["pipeline"].info.run_id
    assert back.resolve(run.reference) == found["warmup"].info.run_id
    for info in (found["warmup"].info, found["pipeline"].info):
        assert before_ms <= info.start_time <= info.end_time <= after_ms
    assert [path.name for path in (root / "spool").iterdir()] == ["sent"]


def test_a_run_whose_process_died_is_ended_where_it_stopped(uri: str, root: Path) -> None:
    def die_with_a_run_open(tracking_uri: str) -> None:
        script = (
            "import os, sys, pathlib; from tasks.tracking import Tracker;"
            "run = Tracker(pathlib.Path(sys.argv[1]), sys.argv[2] or None).start('killed');"
            "run.log_params({'a': 1}); os.kill(os.getpid(), 9)"
        )
        environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
        subprocess.run([sys.executable, "-c", script, str(root), tracking_uri], env=environment, check=False)

    tracker = Tracker(root, uri)
    with tracker.start("alive") as alive:
        die_with_a_run_open(uri)
        assert runs(uri)["killed"].info.status == "RUNNING"
        assert tracker.abandoned() == tracker.reconcile() == [runs(uri)["killed"].info.run_id]
        assert tracker.abandoned() == []
        assert runs(uri)["killed"].info.status == "KILLED"
        assert alive.reference == runs(uri)["alive"].info.run_id
        assert runs(uri)["alive"].info.status == "RUNNING"

    MlflowClient(uri).delete_run(runs(uri)["killed"].info.run_id)
    die_with_a_run_open("")
    assert tracker.replay() == (1, 0)
    assert (runs(uri)["killed"].info.status, runs(uri)["killed"].data.params) == ("KILLED", {"a": "1"})


def test_a_server_that_comes_back_gets_the_rest_of_a_run(uri: str, root: Path) -> None:
    database = Path(uri.removeprefix("sqlite:///"))
    tracker = Tracker(root, uri)
    with tracker.start("warmup") as run:
        aside = database.rename(database.with_suffix(".away"))
        database.mkdir()  # nothing can be written there
        run.set_tags({"while": "away"})
        run.log_metrics({"loss": 0.5}, 1)
        assert tracker.replay() == (0, 0)  # the run is under way: it is not for us to send
    assert run.is_spooled
    database.rmdir()
    aside.rename(database)
    with Tracker(root, uri).start("the next pipeline"):
        pass
    found = runs(uri)["warmup"]
    assert (found.info.run_id, found.info.status) == (run.reference, "FINISHED")
    assert (found.data.tags["while"], found.data.metrics["loss"]) == ("away", 0.5)


@pytest.mark.parametrize(("error", "status"), [(RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_how_a_run_ended_is_recorded(uri: str, root: Path, error: type[BaseException], status: str) -> None:
    with pytest.raises(error), Tracker(root, uri).start("warmup"):
        raise error("out of luck")
    assert runs(uri)["warmup"].info.status == status
    assert "out of luck" in runs(uri)["warmup"].data.tags["r1vl.error"]


def test_what_mlflow_refuses_is_dropped_and_the_run_goes_on(uri: str, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Tracker(root, uri).start("warmup") as run:
        run.log_params({"alpha": 0.1})
        run.log_params({"alpha": 0.2})
        run.log_file(root / "absent.html")
        run.log_params({"beta": 0.04})
    assert runs(uri)["warmup"].data.params == {"alpha": "0.1", "beta": "0.04"}
    assert "refused params" in caplog.text
    assert "absent.html is gone" in caplog.text
    assert not run.is_spooled


def test_a_full_disk_and_no_server_stop_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "root").write_text("a file where a folder should be")
    with Tracker(tmp_path / "root", None).start("warmup") as run:
        run.log_metrics({"loss": 0.5}, 1)
    assert "are lost" in caplog.text


def test_each_built_stage_is_a_run_and_a_reused_one_points_to_it(uri: str, root: Path) -> None:
    kitchen, tracker = Kitchen(Store(root)), Tracker(root, uri)

    def run() -> Any:
        return bring_up_to_date("warmup", kitchen.stages, preset(), Runtime(), kitchen.store, tracker=tracker)

    built, cached = run(), run()
    found = runs(uri)
    warmup = found["warmup"]
    assert built["warmup"].mlflow_run_id == cached["warmup"].mlflow_run_id == warmup.info.run_id
    assert warmup.data.tags["r1vl.digest"] == built["warmup"].digest
    assert warmup.data.metrics.keys() >= {"loss", "final/accuracy", "system/cpu_cores_used", "system/memory_mb"}
    assert warmup.data.params["learning_rate"] == "1e-05"
    assert warmup.inputs.dataset_inputs[0].dataset.digest == built["curate"].digest[:32]
    newest = found["small: warmup"]
    assert (newest.data.tags["r1vl.warmup.state"], newest.data.tags["r1vl.warmup.run"]) == ("cached", warmup.info.run_id)
    assert newest.data.metrics["warmup/accuracy"] == 0.5


def test_the_users_own_files_are_inputs_of_the_run_that_reads_them(uri: str, root: Path, tmp_path: Path) -> None:
    data = tmp_path / "records.json"
    data.write_text("[]")

    def recipe(_preset: Preset, inputs: Inputs) -> Recipe:
        return Recipe("curate", 1, {"file": inputs.file(data)})

    def build(job: Build) -> dict[str, str]:
        (job.out / "rows").write_text("none")
        return {}

    stage = Stage("curate", (), recipe, build)
    run_stage(stage, preset(), Runtime(), Store(root), {}, tracker=Tracker(root, uri))
    ((dataset,),) = (run.inputs.dataset_inputs for run in runs(uri).values() if run.data.tags.get("r1vl.stage") == "curate")
    assert (dataset.dataset.name, dataset.dataset.digest) == ("records.json", hashlib.sha256(b"[]").hexdigest()[:32])
    assert str(data) in dataset.dataset.source


def test_a_training_that_resumes_has_its_whole_curve_in_its_run(uri: str, root: Path) -> None:
    lives: list[list[int]] = [[1, 2], [3, 4], []]

    def build(job: Build) -> dict[str, str]:
        life = lives.pop(0)
        with (job.work / REPORTS).open("a") as record:
            for step in life:
                record.write(json.dumps({"step": step, "num_steps": 5, "metrics": {"loss": 0.5 + step}, "samples": []}) + "\n")
                record.flush()
                job.on_report(Report(step, 5, {"loss": 0.5 + step}))
            if life:
                raise KeyboardInterrupt
        collect_reports(job)
        return {}

    stage = Stage("warmup", (), lambda _preset, _inputs: Recipe("warmup", 1, {}), build)
    client, store = MlflowClient(uri), Store(root)
    for expected in ([1, 2], [1, 2, 3, 4]):
        with pytest.raises(KeyboardInterrupt):
            run_stage(stage, preset(), Runtime(), store, {}, tracker=Tracker(root, uri))
        killed = runs(uri)["warmup"]
        assert [metric.step for metric in client.get_metric_history(killed.info.run_id, "loss")] == expected
    # the last life took no step: all had been taken, and the artifact was not there yet
    result = run_stage(stage, preset(), Runtime(), store, {}, tracker=Tracker(root, uri))
    assert result.mlflow_run_id is not None
    curve = client.get_metric_history(result.mlflow_run_id, "loss")
    assert [(metric.step, metric.value) for metric in curve] == [(step, 0.5 + step) for step in (1, 2, 3, 4)]


@contextmanager
def server(uri: str, folder: Path) -> Iterator[str]:
    port = closed_port()
    arguments = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backend-store-uri", uri]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(
        [sys.executable, *arguments, "--artifacts-destination", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd=folder,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert any("startup complete" in line for line in process.stdout)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.communicate()


def test_a_real_server_hears_the_same(uri: str, root: Path, tmp_path: Path) -> None:
    with server(uri, tmp_path) as address:
        tracker = Tracker(root, address)
        with tracker.start("warmup") as run:
            say_everything(run, tmp_path)
        check_everything(address, runs(address)["warmup"])
        (experiment,) = (each for each in MlflowClient(address).search_experiments() if each.name == "r1vl")
        assert tracker.run_url(run.reference) == f"{address}/#/experiments/{experiment.experiment_id}/runs/{run.reference}"
        assert tracker.experiment_url() == f"{address}/#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning"
        assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
