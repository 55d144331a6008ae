"""A flow run seen from a terminal: its stages, where each stands, and how it ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flows.prefect_api import TERMINAL, PrefectApi
from flows.progress import artifact_key, duration

_POLL_S = 1.0
_LAG_S = 10.0
_MARKS = {"Completed": "✓", "Cached": "=", "Running": "›", "Failed": "✗", "Crashed": "✗", "Cancelled": "✗"}


@dataclass(frozen=True, slots=True)
class StageView:
    """One stage as Prefect shows it; `percent` (0–100) and `line` come from its progress artifact.

    >>> StageView("warmup", "Running", 12.0, 30.0, "step 3/10").state
    'Running'
    """

    stage: str
    state: str
    seconds: float
    percent: float | None = None
    line: str = ""
    is_over: bool = True


@dataclass(frozen=True, slots=True)
class RunView:
    """A flow run at one moment; `state_type` is one of Prefect's (RUNNING, COMPLETED, …), `seconds` how long it has run.

    >>> RunView("RUNNING", "", ()).is_over
    False
    """

    state_type: str
    message: str
    stages: tuple[StageView, ...]
    seconds: float = 0.0
    warnings: Mapping[str, str] = field(default_factory=dict)
    """What its stages warned of, by the log row's id."""

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, well or not."""
        return self.state_type in TERMINAL


def look(api: PrefectApi, flow_run_id: str) -> RunView:
    """The run as it stands now, with the stages it placed on other deployments."""
    run = api.flow_run(flow_run_id)
    children = [child["id"] for child in api.children(flow_run_id)]
    artifacts = {each["key"]: each for each in api.artifacts(flow_run_id, *children) if each["type"] == "progress"}
    # Prefect shows each run on another deployment as a task run too, named flow/deployment; the stage stands there already
    everywhere = [task for task in api.task_runs(flow_run_id, *children) if "/" not in task["name"] and task.get("start_time")]
    tasks = sorted((task for task in everywhere if task["flow_run_id"] == flow_run_id), key=lambda task: task["start_time"])
    state = run.get("state") or {}
    stages = tuple(_stage(task, artifacts) for task in tasks)
    named = {task["id"]: task["name"] for task in everywhere}
    # the logs last: a stage that is over has sent its own before
    warned = [row for row in api.logs(flow_run_id, *children, level=logging.WARNING) if row["level"] < logging.ERROR]
    warnings = {row["id"]: f"{named[row['task_run_id']]}: warning: {row['message']}" for row in warned if row["task_run_id"] in named}
    return RunView(state.get("type", "PENDING"), state.get("message") or "", stages, _seconds(run), warnings)


def _seconds(run: dict[str, Any]) -> float:
    return float(run.get("estimated_run_time") or run.get("total_run_time") or 0.0)


def _stage(task: dict[str, Any], artifacts: dict[str, dict[str, Any]]) -> StageView:
    shown = artifacts.get(artifact_key(task["name"]))
    percent, line = (float(shown["data"]), shown["description"] or "") if shown else (None, "")
    return StageView(task["name"], task["state_name"] or "Pending", _seconds(task), percent, line, task["state_type"] in TERMINAL)


def follow(api: PrefectApi, flow_run_id: str, console: Console) -> RunView:
    """Show the run until it is over: a live table on a terminal, a line a change elsewhere; a line a warning on both."""
    if not console.is_terminal:
        return _print_changes(_warning(_views(api, flow_run_id), console), console)
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        for view in _warning(_views(api, flow_run_id), console):
            live.update(_draw(view))
    return view


def _warning(views: Iterator[RunView], console: Console) -> Iterator[RunView]:
    """The same views; what they newly warn of is printed."""
    told: set[str] = set()
    for view in views:
        for row, line in view.warnings.items():
            if row not in told:
                told.add(row)
                console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)
        yield view


def _views(api: PrefectApi, flow_run_id: str) -> Iterator[RunView]:
    over_since: float | None = None
    while True:
        view = look(api, flow_run_id)
        yield view
        if view.is_over:
            over_since = over_since or time.monotonic()
            # the server learns of a task's end some seconds after the run's own
            if all(stage.is_over for stage in view.stages) or time.monotonic() - over_since > _LAG_S:
                return
        time.sleep(_POLL_S)


def _print_changes(views: Iterator[RunView], console: Console) -> RunView:
    said: dict[str, str] = {}
    spoke: dict[str, float] = {}
    for view in views:
        for stage in view.stages:
            now = time.monotonic()
            head = f"{stage.stage}: {stage.state}"
            line = f"{head} · {stage.line}" if stage.line and stage.state == "Running" else head
            changed_state = not said.get(stage.stage, "").startswith(head)
            if changed_state or (line != said[stage.stage] and now - spoke[stage.stage] >= 10):
                said[stage.stage], spoke[stage.stage] = line, now
                console.print(line, highlight=False, soft_wrap=True)
    return view


def _draw(view: RunView) -> Group:
    table = Table.grid(padding=(0, 1))
    for stage in view.stages:
        percent = 100.0 if stage.state in ("Completed", "Cached") else stage.percent
        bar = ProgressBar(total=100, completed=percent or 0, width=24, pulse=percent is None and stage.state == "Running")
        line = stage.line if stage.state == "Running" else ""
        table.add_row(
            _MARKS.get(stage.state, " "),
            stage.stage,
            bar,
            stage.state,
            duration(stage.seconds),
            Text(line, overflow="ellipsis", no_wrap=True),
        )
    return Group(table, Text(f"  {view.state_type.lower()} · {duration(view.seconds)}", style="dim"))
