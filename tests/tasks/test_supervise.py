"""Nothing survives: each way a training run can be interrupted, with the real launchers."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tasks.supervise import ASKED, CANNOT_START, ROOT, TOO_LATE, end_processes, orphans, run_supervised

PROGRAMS = Path(__file__).parent / "programs"
TRAINER = str(PROGRAMS / "trainer.py")
PATIENCE_S = 15
"""What a cancelled flow run has until every process of its training must be gone."""

ACCELERATE = (sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", "--num_machines", "1", "--cpu", TRAINER)
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", TRAINER)
NUM_RANKS = {ACCELERATE: 1, TORCHRUN: 2}


@dataclass
class Running:
    """A pipeline under way: its process, the supervisor, the launcher, the ranks."""

    pipeline: subprocess.Popen[str]
    shim: psutil.Process
    launcher: psutil.Process
    ranks: list[psutil.Process]

    def all_gone(self) -> bool:
        """Whether every process below the pipeline ends in time."""
        _, alive = psutil.wait_procs([self.shim, self.launcher, *self.ranks], timeout=PATIENCE_S)
        return not alive


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start a pipeline on a launcher and wait until every rank is ready."""
    started: list[subprocess.Popen[str]] = []

    def start(command: tuple[str, ...], manner: str = "obedient", grace_s: float = 10) -> Running:
        arguments = [sys.executable, str(PROGRAMS / "pipeline.py"), str(grace_s), *command, str(tmp_path), manner]
        code = PROGRAMS.parents[2]
        environment = {**ENVIRONMENT, "PYTHONPATH": str(code), ROOT: str(tmp_path)}
        pipeline = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=code, env=environment)
        started.append(pipeline)
        assert pipeline.stdout is not None
        ranks = [psutil.Process(int(pipeline.stdout.readline().split()[2])) for _ in range(NUM_RANKS.get(command, 1))]
        (shim,) = psutil.Process(pipeline.pid).children()
        (launcher,) = shim.children()
        return Running(pipeline, shim, launcher, ranks)

    yield start
    for pipeline in started:
        end_processes(psutil.Process(pipeline.pid).children(recursive=True) if pipeline.poll() is None else [], grace_s=0)
        pipeline.kill()
        pipeline.communicate()


ENVIRONMENT = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def saved(folder: Path) -> int:
    """How many ranks saved their work whole."""
    return sum(path.read_text() == "whole" for path in folder.glob("saved-*"))


def cancel(run: Running) -> None:
    """What Prefect does to a cancelled flow run, and systemd to a worker: SIGTERM."""
    run.pipeline.send_signal(signal.SIGTERM)


def kill_pipeline(run: Running) -> None:
    """The flow process dies of memory, or its worker takes it along."""
    run.pipeline.kill()


def kill_launcher(run: Running) -> None:
    """The launcher dies and leaves its ranks behind."""
    run.launcher.kill()


@pytest.mark.parametrize("launcher", [ACCELERATE, TORCHRUN], ids=["accelerate", "torchrun"])
@pytest.mark.parametrize(("interrupt", "status"), [(cancel, 143), (kill_pipeline, -9), (kill_launcher, 137)])
def test_every_rank_saves_and_nothing_survives(
    start: Callable[..., Running], launcher: tuple[str, ...], interrupt: Callable[[Running], None], status: int, tmp_path: Path
) -> None:
    run = start(launcher)
    interrupt(run)
    assert run.all_gone()
    assert saved(tmp_path) == NUM_RANKS[launcher]
    assert run.pipeline.wait(PATIENCE_S) == status


def test_what_ignores_sigterm_is_killed_after_the_grace(start: Callable[..., Running], tmp_path: Path) -> None:
    run = start((sys.executable, TRAINER), manner="stubborn", grace_s=0.2)
    cancel(run)
    assert run.all_gone()
    assert run.pipeline.wait(PATIENCE_S) == 143
    assert saved(tmp_path) == 0


def test_a_killed_supervisor_leaves_nothing_behind(start: Callable[..., Running], tmp_path: Path) -> None:
    run = start(("/bin/sh", "-c", 'trap "" TERM; "$@" & wait; wait', "sh", sys.executable, TRAINER))
    run.shim.kill()
    assert run.all_gone()
    assert run.pipeline.wait(PATIENCE_S) == 137


def test_orphans_are_found_when_pipeline_and_supervisor_die_together(start: Callable[..., Running], tmp_path: Path) -> None:
    run = start(("/bin/sh", "-c", 'trap "" TERM; "$@" & wait; wait', "sh", sys.executable, TRAINER), manner="stubborn")
    run.pipeline.send_signal(signal.SIGSTOP)  # so that it cannot clean up between the two
    run.shim.kill()
    run.pipeline.kill()
    psutil.wait_procs([run.shim], timeout=PATIENCE_S)
    assert orphans(tmp_path / "another") == []
    found = orphans(tmp_path)
    assert set(found) == {run.launcher, *run.ranks}
    end_processes(found, grace_s=0)
    assert run.all_gone()


def test_an_exception_while_reading_ends_the_command() -> None:
    seen: list[int] = []

    def fail(line: str) -> None:
        seen.append(int(line))
        raise KeyError(line)

    with pytest.raises(KeyError):
        run_supervised(["/bin/sh", "-c", "echo $$; exec sleep 1000"], on_line=fail)
    assert not psutil.pid_exists(seen[0])


def test_the_deadline_ends_the_command() -> None:
    assert run_supervised(["/bin/sh", "-c", "exec sleep 1000"], on_line=print, deadline_s=0.1) == TOO_LATE


def test_a_daemon_of_a_finished_command_is_ended_too() -> None:
    seen: list[str] = []
    assert run_supervised(["/bin/sh", "-c", "setsid sleep 1000 & echo $!"], on_line=seen.append) == 0
    assert not psutil.pid_exists(int(seen[0]))


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill $$", ASKED), ("kill $PPID; exec sleep 1000", ASKED)]
)
def test_the_status_says_how_it_ended(script: str, status: int) -> None:
    assert run_supervised(["/bin/sh", "-c", script], on_line=print) == status


def test_a_program_that_does_not_exist_is_named() -> None:
    lines: list[str] = []
    assert run_supervised(["/no/such/program"], on_line=lines.append) == CANNOT_START
    assert lines == ["cannot start /no/such/program: No such file or directory"]


def test_every_line_arrives_in_order_whatever_ends_it() -> None:
    lines: list[str] = []
    script = "import sys; [print(n) for n in range(50_000)]; sys.stdout.write('a\\rb\\r\\n\\nc\\xe9'); sys.stdout.flush()"
    assert run_supervised([sys.executable, "-c", script], on_line=lines.append) == 0
    assert lines == [*map(str, range(50_000)), "a", "b", "cé"]


def test_the_environment_and_the_folder_are_the_ones_given(tmp_path: Path) -> None:
    lines: list[str] = []
    run_supervised(["/bin/sh", "-c", "echo $GREETING; pwd"], env={"GREETING": "hello"}, cwd=tmp_path, on_line=lines.append)
    assert lines == ["hello", str(tmp_path)]
