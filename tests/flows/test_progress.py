"""Progress and logs reach people at a rate they can read, and the file in full."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.progress import ForwardedLog, Progress


def ticking(seconds: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += seconds


def test_progress_is_published_at_intervals_and_at_the_end() -> None:
    published: list[tuple[float, str]] = []
    clock = ticking(0.5)
    progress = Progress(lambda percent, line: published.append((percent, line)), interval_s=2.0, clock=lambda: next(clock))
    for step in range(1, 11):
        progress(step, 10, {"reward": step / 10})
    assert [percent for percent, _ in published] == [10.0, 50.0, 90.0, 100.0]
    assert published[-1][1] == "step 10/10 · 0.5 s a step · reward 1 · 0 s left"


def test_a_resumed_stage_counts_only_its_own_steps() -> None:
    lines: list[str] = []
    clock = ticking(4.0)
    progress = Progress(lambda _, line: lines.append(line), interval_s=0, clock=lambda: next(clock))
    progress(31, 40, {})
    progress(33, 40, {})
    assert lines == ["step 31/40", "step 33/40 · 2.0 s a step · 14 s left"]


def test_a_flood_of_lines_is_sampled_and_kept_in_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "logs" / "warmup.log"
    with caplog.at_level(logging.INFO), ForwardedLog(path, logging.getLogger("stage"), lines_a_second=5) as forward:
        for number in range(1000):
            forward(f"line {number}")
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0] == "line 0"
    assert 20 <= len(messages) < 200
    assert messages[-1].endswith(f"more lines in {path}")
    assert path.read_text().splitlines() == [f"line {number}" for number in range(1000)]
