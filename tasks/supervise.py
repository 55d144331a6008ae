"""A child and all its descendants, ended together: how every training process is run.

Launchers do not end what they started: `accelerate launch` dies of SIGTERM and leaves its trainer running, torchrun gives each
rank a session of its own. So a small process of ours (`tasks.shim`) stands between the pipeline and the launcher:

- it is the reaper of every orphan below it (PR_SET_CHILD_SUBREAPER), so no descendant is ever out of its sight;
- SIGTERM, SIGINT, a closed standard input (the pipeline died) and the deadline all mean the same: SIGTERM to every
  descendant, SIGKILL to what is left after the grace;
- when the child ends but leaves something behind (a killed launcher), that is ended in the same way;
- it takes the output off the trainer and passes it on, so that a trainer can still write and save when the pipeline is dead.

What it cannot do is survive its own SIGKILL. The launcher then gets SIGTERM from the kernel (PR_SET_PDEATHSIG), and
`run_supervised` ends what the dead supervisor left, which it knows by a mark in the environment. If the pipeline is killed in
the same instant, descendants stay; `orphans` finds them for `r1vl doctor`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from tasks import shim

ASKED = shim.ASKED
"""Exit status when the run was asked to stop (128 + SIGTERM): not a failure, and nothing to retry."""
TOO_LATE = shim.TOO_LATE
"""Exit status past the deadline."""
CANNOT_START = shim.CANNOT_START
"""Exit status when there is no such program."""

ROOT = "R1VL_ROOT"
"""Holds, in the environment of a supervised process, the absolute root it works for."""

_SHIM = Path(shim.__file__).resolve()


def run_supervised(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_line: Callable[[str], None],
    grace_s: float = 10.0,
    deadline_s: float | None = None,
) -> int:
    """Run `command` under a supervisor; `on_line` gets each line it writes (standard output and error) as it comes.

    Returns its exit status: the command's own (128 + n for signal n), 143 when somebody asked it to stop, 124 past `deadline_s`.
    Any exception raised here meanwhile, by `on_line` or by a signal (Ctrl-C, a cancelled flow run), ends the command and all
    its descendants, with `grace_s` seconds to save their work, before it goes on its way; so does the death of this process.
    Call it in the main thread: a signal cannot interrupt another. `env` None means this process's own.
    """
    limit = [] if deadline_s is None else ["--deadline", str(deadline_s)]
    supervisor = subprocess.Popen(  # by its path and without that folder on the module path (-P): it needs nothing of the project
        [sys.executable, "-P", str(_SHIM), "--grace", str(grace_s), "--parent", str(os.getpid()), *limit, "--", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # a signal to our process group must reach the trainer through the supervisor only
        env=None if env is None else dict(env),
        cwd=cwd,
    )
    try:
        for line in _lines(supervisor):
            on_line(line)
        status = supervisor.wait()
        return status if status >= 0 else 128 - status
    finally:
        _end(supervisor)


def orphans(root: Path) -> list[psutil.Process]:
    """Processes of supervised runs under `root` whose supervisor is gone: it is no ancestor of theirs any more.

    Which root a process works for it has in its environment (R1VL_ROOT); other roots' are none of this one's business.
    """
    found = (process for process, mark in marked(shim.MARK) if int(mark) not in _ancestors(process))
    return [process for process in found if _environment_of(process).get(ROOT) == str(root.resolve())]


def end_processes(processes: Sequence[psutil.Process], grace_s: float = 10.0) -> None:
    """SIGTERM to each, SIGKILL to those left after the grace."""
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()
    _, left = psutil.wait_procs(processes, timeout=grace_s)
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=5)


def _end(supervisor: subprocess.Popen[bytes]) -> None:
    """Ask the supervisor to stop, if it still runs, and wait for it; then end what a killed one left."""
    assert supervisor.stdin is not None
    assert supervisor.stdout is not None
    with suppress(BrokenPipeError):
        supervisor.stdin.close()  # first: should a second signal interrupt us, the supervisor knows already
    supervisor.terminate()
    for _ in _lines(supervisor):  # a trainer that saves its work must never wait for us to read what it writes
        pass
    if supervisor.wait() < 0:
        end_processes([process for process, mark in marked(shim.MARK) if mark == str(supervisor.pid)])
    supervisor.stdout.close()


def _lines(supervisor: subprocess.Popen[bytes]) -> Iterator[str]:
    """What the command writes, line by line, until the supervisor ends; a carriage return ends a line too, empty ones are left out."""
    assert supervisor.stdout is not None
    rest = b""
    while chunk := os.read(supervisor.stdout.fileno(), 1 << 16):
        *whole, rest = re.split(rb"[\r\n]", rest + chunk)
        yield from (line.decode("utf-8", "replace") for line in whole if line)
    if rest:
        yield rest.decode("utf-8", "replace")


def marked(variable: str) -> Iterator[tuple[psutil.Process, str]]:
    """Every living process with this variable in its environment, and the value: a mark that children inherit from whoever dies."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            mark = process.environ().get(variable)
            if mark is not None and process.status() != psutil.STATUS_ZOMBIE:
                yield process, mark


def _environment_of(process: psutil.Process) -> dict[str, str]:
    with suppress(psutil.Error, OSError):
        return process.environ()
    return {}


def _ancestors(process: psutil.Process) -> set[int]:
    with suppress(psutil.Error):
        return {parent.pid for parent in process.parents()}
    return set()
