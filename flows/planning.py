"""`r1vl plan`: which stages would be built, which are cached, and why."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from r1vl_core.config import STAGES as ALL_STAGES
from r1vl_core.config import Preset, Runtime, StageName
from tasks.planning import plan
from tasks.store import Store


def print_plan(runtime: Runtime, preset: Preset, until: StageName | None) -> None:
    """Print a row a stage; changes nothing."""
    from tasks.registry import STAGES

    table = Table(title=f"preset {preset.name}, seed {preset.seed}, root {runtime.root}", title_justify="left")
    for name in ("stage", "would be", "because"):
        table.add_column(name, overflow="fold")
    for row in plan(until or ALL_STAGES[-1], STAGES, preset, Store(runtime.root)):
        table.add_row(row.stage, row.action, row.why)
    Console().print(table)
