"""Start a stage's computation in a child process of its own, through a launcher and under the supervisor.

GPU memory returns when the child ends, a crash does not take the flow with it, and a cancellation reaches every process. The child
is `tasks.trainer`; it writes reports as JSON lines among its log lines, and exits with 143 when it was asked to stop.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import deque
from typing import Any

from r1vl_core.config import Runtime
from r1vl_core.report import Report
from tasks.stages import Build
from tasks.supervise import ASKED, run_supervised

GRACE_S = 12.0
"""Seconds a trainer has to save after SIGTERM; a cancelled flow run must be over within 15."""

_REPORT = '{"report": '
_TAIL_LINES = 30


class StageFailed(RuntimeError):
    """A stage's child process failed; the message holds its exit status and its last lines."""


class StageStopped(RuntimeError):
    """A stage's child process was asked to stop and did; its checkpoints wait for the next run."""


def run_child(job: Build, order: dict[str, Any]) -> None:
    """Run `tasks.trainer` on `order`, passing its reports and log lines on. Raises StageFailed, StageStopped, or ValueError."""
    path = job.work / "order.json"
    path.write_text(json.dumps(order, indent=1), encoding="utf-8")
    tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def on_line(line: str) -> None:
        report = read_report(line)
        if report is not None:
            job.on_report(report)
            return
        tail.append(line)
        job.log(line)

    command = [*launcher_command(job.runtime), "-m", "tasks.trainer", str(path)]
    status = run_supervised(command, env=_environment(job.runtime), on_line=on_line, grace_s=GRACE_S)
    if status == 0:
        return
    if status == ASKED or status in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        raise StageStopped(f"{job.recipe.stage}: stopped when asked to; a rerun goes on from its last checkpoint")
    if status == 2:
        raise ValueError(next((line for line in reversed(tail) if line.startswith("error: ")), "\n".join(tail)).removeprefix("error: "))
    raise StageFailed(f"{job.recipe.stage}: the training process ended with status {status}; its last lines:\n" + "\n".join(tail))


def launcher_command(runtime: Runtime) -> list[str]:
    """The program that starts the training processes, up to the module's name."""
    if runtime.launcher == "torchrun":
        return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={runtime.num_processes}"]
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    if runtime.accelerate_config is not None:
        return [*command, "--config_file", str(runtime.accelerate_config.absolute())]
    command += ["--num_processes", str(runtime.num_processes), "--num_machines", "1", "--dynamo_backend", "no", "--mixed_precision", "no"]
    command += ["--num_cpu_threads_per_process", str(_threads(runtime))]
    if runtime.num_processes > 1:
        command += ["--multi_gpu"] if runtime.device == "cuda" else ["--main_process_port", "0"]
    return [*command, "--cpu"] if runtime.device == "cpu" else command


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


def _threads(runtime: Runtime) -> int:
    return max(1, (os.cpu_count() or 1) // runtime.num_processes)


def _environment(runtime: Runtime) -> dict[str, str]:
    quiet = {
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONUNBUFFERED": "1",
    }
    # The number of threads is part of what makes two runs on one machine equal to the bit, so it is set, not guessed by a launcher.
    return {**os.environ, **quiet, "OMP_NUM_THREADS": str(_threads(runtime))}
