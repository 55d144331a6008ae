"""The supervisor process: stands between the pipeline and a launcher, and ends everything below it together.

Started by `tasks.supervise`; by hand: `python -m tasks.shim --grace 10 -- command …`, with a standard input that its starter
holds open for as long as it lives. Exits with the command's status (128 + n for signal n), 143 when it was asked to stop, 124
past the deadline, 127 when the command cannot be started.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

ASKED = 143
TOO_LATE = 124
CANNOT_START = 127
MARK = "R1VL_SUPERVISOR"
"""Environment variable of everything below a supervisor: that supervisor's process id."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_POLL_S = 0.05
_FLUSH_S = 5.0


class Supervisor:
    """One command under supervision: what it has written and we have not passed on, and who has ended."""

    def __init__(self, grace_s: float, deadline_s: float | None) -> None:
        self.grace_s = grace_s
        self.deadline = None if deadline_s is None else time.monotonic() + deadline_s
        self.asked = False
        self.ended: dict[int, int] = {}
        self.pending = b""
        self.starter: int | None = sys.stdin.fileno()
        self.listener: int | None = sys.stdout.fileno()
        self.signals = _listen_to_signals()
        self.output: int | None = None

    def run(self, command: Sequence[str]) -> int:
        """Run the command; returns when it and every descendant has ended. Raises OSError when it cannot be started."""
        child = self._start(command)
        os.set_blocking(sys.stdout.fileno(), False)
        while child not in self.ended and not self.asked and not self._is_late():
            self._turn(None if self.deadline is None else max(0.0, self.deadline - time.monotonic()))
        status = self.ended.get(child, ASKED if self.asked else TOO_LATE)
        self._end_descendants()
        self._pass_on_the_rest()
        return status

    def _start(self, command: Sequence[str]) -> int:
        """Start the command with a pipe of ours for its output: it must be able to write, and save, when the pipeline is dead."""
        self.output, writing = os.pipe()
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            env={**os.environ, MARK: str(os.getpid())},
            preexec_fn=lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM),
        )
        child.returncode = 0  # `_reap` collects it; Popen must neither wait for it nor warn about it
        os.close(writing)
        return child.pid

    def _is_late(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def _turn(self, timeout_s: float | None) -> None:
        """Wait for something to happen, at most `timeout_s`, and take note of it."""
        # What is written is read only when the last of it has been passed on: a slow listener slows the command down
        reading = [self.signals, self.starter, None if self.pending else self.output]
        writing = [self.listener] if self.pending else []
        wanted = [descriptor for descriptor in reading if descriptor is not None]
        readable, writable, _ = select.select(wanted, [descriptor for descriptor in writing if descriptor is not None], [], timeout_s)
        if self.signals in readable and {signal.SIGTERM, signal.SIGINT} & set(os.read(self.signals, 512)):
            self.asked = True
        if self.starter in readable and os.read(sys.stdin.fileno(), 512) == b"":
            self.asked, self.starter = True, None
        if self.output in readable:
            self._read_output()
        if writable:
            self._pass_on()
        self._reap()

    def _read_output(self) -> None:
        assert self.output is not None
        chunk = os.read(self.output, 1 << 16)
        if not chunk:
            self.output = None
        elif self.listener is not None:
            self.pending = chunk

    def _pass_on(self) -> None:
        assert self.listener is not None
        try:
            self.pending = self.pending[os.write(self.listener, self.pending) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:  # nobody listens any more: go on reading, or the command would stop at a full pipe
            self.listener, self.pending = None, b""

    def _end_descendants(self) -> None:
        """SIGTERM once to every descendant, also to those that start meanwhile; SIGKILL after the grace, until none is left."""
        kill_at = time.monotonic() + self.grace_s
        told: set[int] = set()
        while alive := self._descendants():
            now = time.monotonic()
            if now >= kill_at + _FLUSH_S:  # what SIGKILL does not end sits in the kernel; waiting on would block the pipeline
                self.pending += f"could not end processes {', '.join(str(process.pid) for process in alive)}\n".encode()
                return
            for process in alive:
                if now >= kill_at or process.pid not in told:
                    with suppress(psutil.NoSuchProcess):
                        process.send_signal(signal.SIGKILL if now >= kill_at else signal.SIGTERM)
                told.add(process.pid)
            self._turn(_POLL_S)
        self._reap()  # the last of them may have ended between two looks

    def _descendants(self) -> list[psutil.Process]:
        self._reap()
        found = []
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _reap(self) -> None:
        """Collect every child that has ended, adopted ones too."""
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0] != 0:
                code = os.waitstatus_to_exitcode(found[1])
                self.ended[found[0]] = code if code >= 0 else 128 - code

    def _pass_on_the_rest(self) -> None:
        """Everybody has ended, so the pipe holds all there will be."""
        stop_at = time.monotonic() + _FLUSH_S
        while (self.output is not None or self.pending) and self.listener is not None and time.monotonic() < stop_at:
            self._turn(_POLL_S)


def _listen_to_signals() -> int:
    """Let SIGTERM, SIGINT and SIGCHLD arrive as bytes in a pipe; its reading end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading


def _prctl(option: int, value: int) -> None:
    """Linux only; elsewhere the supervisor sees the descendants whose parents live, and no more."""
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and supervise; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tasks.shim", description="Run a command; end it with all its descendants.")
    parser.add_argument("--grace", type=float, default=10.0, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("--deadline", type=float, default=None, help="seconds after which the command is ended (exit status 124)")
    parser.add_argument("--parent", type=int, default=None, help="process id of the starter, whose death ends the command")
    parser.add_argument("command", nargs="+", help="the command, after --")
    options = parser.parse_args(arguments)
    supervisor = Supervisor(options.grace, options.deadline)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # beside the pipe, which a forked worker of the starter may hold open
    if options.parent not in (None, os.getppid()):
        return ASKED
    try:
        return supervisor.run(options.command)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"cannot start {error.filename}: {error.strerror}", flush=True)
        return CANNOT_START


if __name__ == "__main__":
    sys.exit(main())
