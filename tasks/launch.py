"""Start a stage's computation in a child process of its own, through a launcher and under the supervisor.

GPU memory returns when the child ends, a crash does not take the flow with it, and a cancellation reaches every process. The child
is `tasks.trainer`; it writes reports as JSON lines among its log lines, and exits with 143 when it was asked to stop.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections import deque
from pathlib import Path
from typing import Any

import yaml

from r1vl_core.config import Runtime
from r1vl_core.report import Report
from tasks.stages import Build
from tasks.supervise import ASKED, ROOT, run_supervised

GRACE_S = 12.0
"""Seconds a trainer has to save after SIGTERM; a cancelled flow run must be over within 15."""

MISTAKE = "error: "
"""Begins the one line in which the child says what the user got wrong."""

FAILURE = "failed: "
"""Begins the one line in which the child says what went wrong otherwise, where people can cure it."""

WARNING = "warning: "
"""Begins a log line that whoever follows a run must hear, however much else is said."""

_REPORT = '{"report": '
_KEPT_LINES = 400
_TAIL_LINES = 40
_ANY_PORT = ["--main_process_port", "0"]
"""Without it accelerate listens on port 29500, and the second training on a machine ends at once."""
_KILLED = 128 + signal.SIGKILL
_TORCHRUN_SAW_A_KILL = re.compile(r"rank +: (\d+) .*\s+exitcode +: -9 \(pid: (\d+)\)")
_TORCHRUN_KILLED = "Unable to shutdown process {pid} via"
_ACCELERATE_SAW_A_KILL = "died with <Signals.SIGKILL: 9>"
"""How torchrun (and accelerate, which calls it) and accelerate alone tell of a trainer that was killed: both exit with 1 then."""

_LAUNCHERS_TRACEBACK = re.compile(
    r'^Traceback \(most recent call last\):\n(?: .*\n)*? +File ".*/(?:accelerate/commands/|torch/distributed/(?:run|launcher/api)\.py).*\n'
    r"(?: .*\n)*\S.*\n",
    re.MULTILINE,
)
_LAUNCHERS_LOG = re.compile(r"^[IWE]\d{4} [\d:.]+ \d+ \S*torch/distributed/.*\n", re.MULTILINE)
_TORCHRUNS_SUMMARY = re.compile(r"^=+\n.* FAILED\n-+\n(?:.*\n)*?=+\n", re.MULTILINE)


class StageFailed(RuntimeError):
    """A stage's child process failed; the message is what it said of that, or its exit status and its last lines."""


class StageKilled(StageFailed):
    """A stage's child process was ended by SIGKILL, from outside."""


class StageStopped(RuntimeError):
    """A stage's child process was asked to stop and did; its checkpoints wait for the next run."""


def run_child(job: Build, order: dict[str, Any]) -> None:
    """Run `tasks.trainer` on `order`, passing its reports and log lines on. Raises StageFailed, StageStopped, or ValueError."""
    path = job.work / "order.json"
    path.write_text(json.dumps(order, indent=1), encoding="utf-8")
    tail: deque[str] = deque(maxlen=_KEPT_LINES)
    mistakes: list[str] = []
    failures: list[str] = []

    def on_line(line: str) -> None:
        report = read_report(line)
        if report is not None:
            job.on_report(report)
            return
        if line.startswith(MISTAKE):
            mistakes.append(line.removeprefix(MISTAKE))
        if line.startswith(FAILURE):
            failures.append(line.removeprefix(FAILURE))
        tail.append(line)
        job.log(line)

    command = [*launcher_command(job.runtime), "-m", "tasks.trainer", str(path)]
    status = run_supervised(command, env=_environment(job.runtime), on_line=on_line, grace_s=GRACE_S)
    if status == 0:
        return
    if status == ASKED or status in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        raise StageStopped(f"{job.recipe.stage}: stopped when asked to; a rerun goes on from its last checkpoint")
    if mistakes:  # launchers turn every exit status into 1, so the line says what the status cannot
        raise ValueError(mistakes[0])
    said = "\n".join(tail)
    rank = killed_rank(said)
    if rank is not None or _ACCELERATE_SAW_A_KILL in said or status == _KILLED:
        raise StageKilled(_killed(job.recipe.stage, rank))
    if failures:
        raise StageFailed(f"{job.recipe.stage}: {failures[0]}")
    last = "\n".join(words_of_the_trainer(said).splitlines()[-_TAIL_LINES:])
    raise StageFailed(f"{job.recipe.stage}: the training process ended with status {status}; its last lines:\n{last}")


def killed_rank(said: str) -> str | None:
    """The first rank that torchrun says was killed, by somebody other than torchrun, which does it to those that do not end in time."""
    killed = (found.groups() for found in _TORCHRUN_SAW_A_KILL.finditer(said))
    return next((rank for rank, pid in killed if _TORCHRUN_KILLED.format(pid=pid) not in said), None)


def words_of_the_trainer(said: str) -> str:
    """A failed child's output less what its launcher adds: the launcher's own log and traceback, and torchrun's summary.

    All of it where the trainer ended without a traceback of its own: after a segmentation fault only the launcher has anything to say.
    """
    own = f"{said}\n"
    for launchers in (_LAUNCHERS_TRACEBACK, _LAUNCHERS_LOG, _TORCHRUNS_SUMMARY):
        own = launchers.sub("", own)
    return own if "Traceback (most recent call last)" in own else said


def _killed(stage: str, rank: str | None) -> str:
    which = "the training process" if rank is None else f"the training process of rank {rank}"
    cause = "mostly by the kernel because the machine ran out of memory"
    cure = "free some, lower R1VL_TOKEN_BUDGET (default: 2048 on a CPU, 16384 on a GPU) or set R1VL_GRADIENT_CHECKPOINTING=1"
    then = "a worker reads them when it starts; a rerun goes on from the last checkpoint"
    return f"{stage}: {which} was killed by signal 9, {cause}: {cure}; {then}"


def launcher_command(runtime: Runtime) -> list[str]:
    """The program that starts the training processes, up to the module's name."""
    on_cpu = _is_on_cpu(runtime)
    # accelerate's launcher quietly starts a single process where there is no GPU; torchrun starts as many as asked for
    if runtime.launcher == "torchrun" or (on_cpu and runtime.num_processes > 1 and runtime.accelerate_config is None):
        return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={runtime.num_processes}"]
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    if runtime.accelerate_config is not None:
        settings = accelerate_settings(runtime.accelerate_config)
        port = [] if settings.get("main_process_port") or settings.get("num_machines", 1) != 1 else _ANY_PORT
        return [*command, "--config_file", str(runtime.accelerate_config.absolute()), *port]
    command += ["--num_processes", str(runtime.num_processes), "--num_machines", "1", "--dynamo_backend", "no", "--mixed_precision", "no"]
    command += ["--num_cpu_threads_per_process", str(_threads(runtime))]
    if runtime.num_processes > 1:
        command += ["--multi_gpu", *_ANY_PORT]
    return [*command, "--cpu"] if on_cpu else command


def accelerate_settings(path: Path) -> dict[str, Any]:
    """What R1VL_ACCELERATE_CONFIG says. Raises ValueError for a file that is none of accelerate's."""
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"R1VL_ACCELERATE_CONFIG {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"R1VL_ACCELERATE_CONFIG {path}: not YAML: {error}") from None
    if not isinstance(table, dict):
        raise ValueError(f"R1VL_ACCELERATE_CONFIG {path}: not a configuration of accelerate (`accelerate config` writes one)")
    return table


def read_report(line: str) -> Report | None:
    """The report a line of the child holds, or None for a log line."""
    if not line.startswith(_REPORT):
        return None
    try:
        table = json.loads(line)["report"]
        return Report(table["step"], table["num_steps"], table["metrics"])
    except (ValueError, KeyError, TypeError):
        return None


def write_report(report: Report) -> None:
    """Print a report as the line that `read_report` reads; samples stay with the trainer, which stores them itself."""
    table = {"step": report.step, "num_steps": report.num_steps, "metrics": report.metrics}
    print(json.dumps({"report": table}), flush=True)


def _is_on_cpu(runtime: Runtime) -> bool:
    import torch  # only a stage that is really built asks

    return runtime.device == "cpu" or (runtime.device == "auto" and not torch.cuda.is_available())


def _threads(runtime: Runtime) -> int:
    return max(1, _num_cpus() // runtime.num_processes)


def _num_cpus() -> int:
    """Processors this process may use: its affinity and its container's quota, not what the machine has."""
    num_cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return num_cpus
    return num_cpus if quota == "max" else max(1, min(num_cpus, int(quota) // int(period)))


def _environment(runtime: Runtime) -> dict[str, str]:
    quiet = {
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONUNBUFFERED": "1",
    }
    # The number of threads is part of what makes two runs on one machine equal to the bit, so it is set, not guessed by a launcher, and
    # MKL, which by default takes fewer when it sees fit, is told to take them all.
    # Threads that wait by spinning take the cores from the ones they wait for as soon as anything else runs: with a second job on two
    # cores a step took 20 times as long, with a short spin 2.7 times; alone it costs 5 %.
    patience = {"GOMP_SPINCOUNT": "5000"}
    threads = {"OMP_NUM_THREADS": str(_threads(runtime)), "MKL_DYNAMIC": "FALSE"}
    return {**patience, **os.environ, **quiet, **threads, ROOT: str(runtime.root.resolve())}
