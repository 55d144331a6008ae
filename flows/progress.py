"""How a stage under way shows itself: a progress artifact, a sampled log, the whole log in a file. All rate-limited."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TextIO

from r1vl_core.recent_rate import RecentRate
from tasks.launch import WARNING

SHOWN = ("reward", "step_rar", "step_rvr", "accuracy", "loss", "kl", "cost")
"""Metrics worth a place on the progress line, by name, in this order; the first three that a stage reports."""


def artifact_key(stage: str) -> str:
    """The key of a stage's progress artifact (Prefect allows small letters, digits and dashes).

    >>> artifact_key("key_steps")
    'progress-key-steps'
    """
    return f"progress-{stage.replace('_', '-')}"


def progress_line(step: int, num_steps: int, metrics: Mapping[str, float], seconds_a_step: float | None) -> str:
    """One line on where a stage stands; the rate is None while it is not known.

    >>> progress_line(12, 40, {"reward": 1.234, "loss": 0.5, "lr": 1e-5}, 2.0)
    'step 12/40 · 2.0 s a step · reward 1.234 · loss 0.5 · 56 s left'
    """
    shown = [f"{name} {metrics[name]:.4g}" for name in SHOWN if name in metrics][:3]
    if seconds_a_step is None:
        return " · ".join([f"step {step}/{num_steps}", *shown])
    left = f"{duration(seconds_a_step * (num_steps - step))} left"
    return " · ".join([f"step {step}/{num_steps}", _rate(seconds_a_step), *shown, left])


def _rate(seconds_a_step: float) -> str:
    return f"{seconds_a_step:.1f} s a step" if seconds_a_step >= 0.1 else f"{1 / max(seconds_a_step, 1e-6):.0f} steps a second"


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(3725)
    '1 h 02 min'
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Progress:
    """Publishes where a stage stands, at most every `interval_s` seconds and at its last step.

    `publish(percent, line)` is called with what to show; `clock` gives seconds that only ever grow.
    """

    def __init__(self, publish: Callable[[float, str], None], interval_s: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._publish = publish
        self._interval_s = interval_s
        self._clock = clock
        self._rate: RecentRate | None = None
        self._published: float | None = None

    def __call__(self, step: int, num_steps: int, metrics: Mapping[str, float]) -> None:
        """The stage finished step `step` of `num_steps`."""
        now = self._clock()
        rate = 0.0
        if self._rate is None:
            self._rate = RecentRate(now, step)  # steps before it were not done now (a resumed stage), or took the start-up along
        else:
            rate = self._rate.at(now, step)
        if self._published is None or now - self._published >= self._interval_s or step == num_steps:
            self._published = now
            self._publish(100.0 * step / num_steps, progress_line(step, num_steps, metrics, 1 / rate if rate else None))


class ForwardedLog:
    """Writes every line to `path`; passes on to `logger` every warning and at most `lines_a_second` others, and says how many it kept back.

    A context manager; lines are cut at 2000 characters on their way to the logger (Prefect drops records over 1 MB whole).
    """

    def __init__(self, path: Path, logger: logging.Logger | logging.LoggerAdapter[logging.Logger], lines_a_second: float = 5.0) -> None:
        self._path = path
        self._logger = logger
        self._rate = lines_a_second
        self._allowance = 20.0  # a burst of lines at the start tells most
        self._last = time.monotonic()
        self._kept_back = 0
        self._file: TextIO | None = None
        self.has_warned = False
        """Whether a warning was among the lines."""

    def __enter__(self) -> ForwardedLog:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a", encoding="utf-8", errors="replace", buffering=1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._file is not None
        if self._kept_back:
            self._logger.info("%d more lines in %s", self._kept_back, self._path)
        self._file.close()

    def keep(self, text: str) -> None:
        """Text for the file alone."""
        assert self._file is not None
        self._file.write(f"{text.rstrip()}\n")

    def __call__(self, line: str) -> None:
        """One line of the stage's output."""
        self.keep(line)
        if line.startswith(WARNING):
            self.has_warned = True
            self._logger.warning("%s", line.removeprefix(WARNING)[:2000])
            return
        now = time.monotonic()
        self._allowance = min(20.0, self._allowance + (now - self._last) * self._rate)
        self._last = now
        if self._allowance < 1:
            self._kept_back += 1
            return
        self._allowance -= 1
        self._logger.info("%s", line[:2000])
