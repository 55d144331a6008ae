"""Several training processes under the real launchers: sharded training, and the end of a job one of whose ranks dies."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import psutil
import pytest
from safetensors.torch import load_file

from r1vl_core.config import Preset, Runtime, parse_preset
from r1vl_core.data import database
from r1vl_core.training.order import draw
from tasks.launch import StageFailed, ended_by_signal, launcher_command, words_of_the_trainer
from tasks.registry import STAGES
from tasks.reports import read_reports
from tasks.stages import StageEvent, StageResult, bring_up_to_date
from tasks.store import Store
from tasks.supervise import run_supervised

SHARDED = """
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
num_machines: 1
num_processes: 2
machine_rank: 0
mixed_precision: "no"
use_cpu: true
main_training_function: main
rdzv_backend: static
same_network: true
fsdp_config:
  fsdp_version: 2
"""
"""infra/accelerate/fsdp2.yaml for two processes without a GPU."""

TWO = Runtime(num_workers=1, device="cpu", num_processes=2)
pytestmark = pytest.mark.timeout(600)  # several training processes in turn; on a busy machine most of it is their start


def a_preset() -> Preset:
    return parse_preset(
        {
            "name": "small",
            "prompt": "plain",
            "max_pixels": 200704,
            "world": {"num_questions": 24, "num_heldout": 6, "seed": 5},
            "warmup": {"num_epochs": 1.0, "batch_size": 6, "learning_rate": 1e-5, "save_every": 2},
            "stepgrpo": {"num_steps": 2, "questions_per_step": 3, "group_size": 3, "max_new_tokens": 12, "save_every": 1},
        },
        "test",
    )


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    bring_up_to_date("key_steps", STAGES, a_preset(), TWO, Store(root))
    return root


@pytest.fixture
def store(curated: Path, tmp_path: Path) -> Store:
    return Store(Path(shutil.copytree(curated, tmp_path / "root")))


def trainers() -> dict[str, psutil.Process]:
    """The training processes below this one, by rank."""
    found = {}
    for child in psutil.Process().children(recursive=True):
        try:
            if child.cmdline()[1:4] == ["-u", "-m", "tasks.trainer"]:
                found[child.environ()["RANK"]] = child
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


SIGNALS = {
    signal.SIGKILL: "killed by signal 9.*R1VL_TOKEN_BUDGET",
    signal.SIGSEGV: r"ended by signal 11 \(SIGSEGV\), a fault in compiled code.*a rerun goes on",
    signal.SIGABRT: r"ended by signal 6 \(SIGABRT\), a fault in compiled code.*a rerun goes on",
}


@pytest.mark.parametrize(("rank", "number"), [("0", signal.SIGKILL), ("1", signal.SIGKILL), ("0", signal.SIGSEGV), ("1", signal.SIGABRT)])
def test_a_rank_that_a_signal_ends_ends_the_job_and_is_named(store: Store, rank: str, number: signal.Signals) -> None:
    killed: list[int] = []

    def kill(event: StageEvent) -> None:
        if event.report is not None and event.stage == "warmup" and not killed:
            killed.append(trainers()[rank].pid)
            os.kill(killed[0], number)

    with pytest.raises(StageFailed, match=rf"^warmup: the training process of rank {rank} was {SIGNALS[number]}.*$") as told:
        bring_up_to_date("warmup", STAGES, a_preset(), TWO, store, on_event=kill)
    assert "\n" not in str(told.value)
    assert not trainers()


def test_a_rank_that_fails_ends_the_job_with_its_error(store: Store) -> None:
    """A picture is spoilt after curation, of the first question that the second rank draws: the only process to notice says which."""
    (database_file,) = store.root.glob("objects/curate/*/*.duckdb")
    questions = database.read_questions(database_file)
    unlucky = questions[draw(len(questions), 0, 2, seed=0)[1]]

    def spoil(event: StageEvent) -> None:
        if event.stage == "warmup" and event.kind == "building":
            (picture,) = store.root.glob(f"objects/world/**/{unlucky.image}")
            picture.write_bytes(bytes(picture.stat().st_size))

    with pytest.raises(ValueError, match=f"question {re.escape(unlucky.id)}: its picture .*{re.escape(unlucky.image)}"):
        bring_up_to_date("warmup", STAGES, a_preset(), TWO, store, on_event=spoil)
    assert not trainers()


@pytest.fixture(scope="module")
def alone(curated: Path, tmp_path_factory: pytest.TempPathFactory) -> StageResult:
    """The warm-up by one process."""
    root = Path(shutil.copytree(curated, tmp_path_factory.mktemp("alone") / "root"))
    return bring_up_to_date("warmup", STAGES, a_preset(), TWO.model_copy(update={"num_processes": 1}), Store(root))["warmup"]


def test_two_processes_on_a_cpu_are_two_and_see_what_one_sees(store: Store, alone: StageResult) -> None:
    """Weights are compared where rounding cannot grow (tests of training); here the losses, and that two trainers were at work."""
    counts: list[int] = []

    def count(event: StageEvent) -> None:
        if event.report is not None and event.report.step == 2:
            counts.append(len(trainers()))

    together = bring_up_to_date("warmup", STAGES, a_preset(), TWO, store, on_event=count)["warmup"]
    assert counts == [2]
    for mine, theirs in zip(read_reports(alone.artifact.path), read_reports(together.artifact.path), strict=True):
        assert mine.metrics["tokens"] == theirs.metrics["tokens"]
        assert mine.metrics["loss"] == pytest.approx(theirs.metrics["loss"], rel=1e-3)


@pytest.mark.parametrize("manner", ["traceback", "segfault"])
@pytest.mark.parametrize("num_processes", [1, 2])
def test_what_a_failed_trainer_said_is_told_apart_from_its_launcher(num_processes: int, manner: str) -> None:
    lines: list[str] = []
    command = [*launcher_command(TWO.model_copy(update={"num_processes": num_processes})), "-m", "tests.tasks.programs.failing", manner]
    assert run_supervised(command, on_line=lines.append) == 1
    said = words_of_the_trainer("\n".join(lines))
    if manner == "segfault":  # then the launchers alone know
        assert re.search(r"Signal 11 \(SIGSEGV\)|Signals\.SIGSEGV: 11", said)
        return
    assert said.count("step 1") == num_processes
    assert said.count("KeyError: 'the cause'") == said.count("RuntimeError: the reason") == 1
    assert not re.search(r"torch/distributed/(run|launcher)|accelerate/commands|ChildFailed|CalledProcess|Root Cause|closing signal", said)


def test_a_sharded_pipeline_trains_what_one_process_trains(store: Store, alone: StageResult, tmp_path: Path) -> None:
    (tmp_path / "fsdp2.yaml").write_text(SHARDED)
    sharded = TWO.model_copy(update={"accelerate_config": tmp_path / "fsdp2.yaml"})
    found = bring_up_to_date("stepgrpo", STAGES, a_preset(), sharded, store)
    mine, theirs = (load_file(result.artifact.path / "policy" / "model.safetensors") for result in (alone, found["warmup"]))
    assert mine.keys() == theirs.keys()
    # AdamW divides a gradient by its own size: where one is near 0 its rounding becomes a share of the learning rate.
    assert max(float((mine[name] - theirs[name]).abs().max()) for name in mine) < 1e-5
    for before, after in zip(*(read_reports(result.artifact.path) for result in (alone, found["warmup"])), strict=True):
        assert before.metrics["tokens"] == after.metrics["tokens"]
        assert before.metrics["loss"] == pytest.approx(after.metrics["loss"], abs=1e-4)
    first, second = read_reports(found["stepgrpo"].artifact.path)
    assert first.metrics["kl"] == pytest.approx(0, abs=1e-9)
    assert first.metrics["logprob_gap"] < 1e-5
    assert second.metrics["kl"] >= 0


@pytest.mark.parametrize(
    ("line", "open_port"), [("", True), ("main_process_port: 29511", False), ("num_machines: 2\nmain_process_port: 29511", False)]
)
def test_trainings_that_start_together_listen_on_ports_of_their_own(tmp_path: Path, line: str, open_port: bool) -> None:
    """Accelerate's own choice is 29500 for everyone; it looks whether that is taken, but two that look at once both find it free."""
    (tmp_path / "accelerate.yaml").write_text(SHARDED.replace("num_machines: 1", line) if "machines" in line else SHARDED + line)
    command = launcher_command(TWO.model_copy(update={"accelerate_config": tmp_path / "accelerate.yaml"}))
    assert (command[-2:] == ["--main_process_port", "0"]) is open_port


def test_a_configuration_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"R1VL_ACCELERATE_CONFIG .*gone\.yaml: No such file"):
        launcher_command(TWO.model_copy(update={"accelerate_config": tmp_path / "gone.yaml"}))


SUMMARY = """
W1123 06:21:01 9 torch/distributed/elastic/multiprocessing/api.py:1048] {forced}
tasks.trainer FAILED
Failures:
[1]:
  rank      : 1 (local_rank: 1)
  exitcode  : -9 (pid: 512)
  traceback : Signal 9 (SIGKILL) received by PID 512
Root Cause (first observed failure):
[0]:
  rank      : 0 (local_rank: 0)
  exitcode  : 1 (pid: 511)
  traceback : RuntimeError: Connection closed by peer
"""


def test_a_kill_is_told_even_where_another_rank_is_heard_first() -> None:
    """Who loses its partner says so at once; torchrun sees the partner's end only when it looks."""
    assert ended_by_signal(SUMMARY.format(forced="Sending process 511 closing signal SIGTERM"), 1) == (9, "1")
    forced = "Unable to shutdown process 512 via Signals.SIGTERM, forcefully exiting via Signals.SIGKILL"
    assert ended_by_signal(SUMMARY.format(forced=forced), 1) is None, "torchrun itself killed it, for not ending with the others"
    asked = SUMMARY.replace("-9", "-15").format(forced="")
    assert ended_by_signal(asked, 1) is None, "torchrun itself ended it"
    assert ended_by_signal("died with <Signals.SIGBUS: 7>.", 1) == (7, None)
