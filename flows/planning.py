"""`r1vl plan`: which stages would be built, which are cached, and why; and how much memory training takes."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from r1vl_core.config import STAGES as ALL_STAGES
from r1vl_core.config import Preset, Runtime, StageName
from tasks.planning import check_inputs, plan
from tasks.store import Store


def look_over(preset: Preset, until: StageName | None) -> None:
    """Look at the user's files before anything is started. Raises WrongInputs, which says all that is wrong with them."""
    from tasks.registry import STAGES

    check_inputs(until or ALL_STAGES[-1], STAGES, preset)


def print_plan(runtime: Runtime, preset: Preset, until: StageName | None) -> None:
    """Print a row a stage; changes nothing. Raises WrongInputs for files of the user's that a stage would refuse."""
    from tasks.registry import STAGES

    rows = plan(until or ALL_STAGES[-1], STAGES, preset, Store(runtime.root))
    console, table = Console(), Table()
    console.print(f"preset {preset.name}, seed {preset.seed}, root {runtime.root}", soft_wrap=True, highlight=False, markup=False)
    for name in ("stage", "would be", "because"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(row.stage, row.action, row.why)
    console.print(table)
    for row in rows:
        if row.stage == "curate" and row.metrics.get("num_rejected"):
            console.print(_rejected(row.metrics, Store(runtime.root)), soft_wrap=True, highlight=False, markup=False)


def _rejected(metrics: Mapping[str, float], store: Store) -> str:
    """How many records curation rejected, why, and where each of them is told."""
    from tasks.curate import LIST_REJECTED

    counts = {name.removeprefix("rejected_"): number for name, number in metrics.items() if name.startswith("rejected_")}
    reasons = ", ".join(f"{reason} {number}" for reason, number in sorted(counts.items(), key=lambda one: (-one[1], one[0])))
    told = f"{metrics['num_rejected']} of {metrics['num_records']} records are left out ({reasons})"
    latest = store.latest("curate")
    is_asked = latest is not None and latest.notes.get("metrics") == metrics  # else the command would show another curation's
    return f"{told}; each with its reason: {LIST_REJECTED}" if is_asked else told


def print_memory(runtime: Runtime, preset: Preset) -> None:
    """Print the parts of memory, a row each, while a policy is updated and while paths are sampled; changes nothing."""
    with Console(stderr=True).status("counting the model's weights (loading PyTorch takes most of the time)"):
        from tasks.memory import plan_memory  # torch comes with it

        found = plan_memory(preset, runtime)
    where = "each GPU" if found.machine.device == "cuda" else "each process" if found.machine.num_processes > 1 else "this process"
    unit, size = _unit(max(estimate.peak for estimate in found.stages.values()))
    title = f"preset {preset.name}: {unit} of {where}, micro-batches of {found.machine.token_budget} tokens"
    table = Table(title=title, title_justify="left")
    columns = {"warm-up": found.stages["warmup"].update, "StepGRPO, update": found.stages["stepgrpo"].update}
    columns["StepGRPO, rollout"] = found.stages["stepgrpo"].rollout
    table.add_column("part")
    for name in columns:
        table.add_column(name, justify="right")
    for part in dict.fromkeys(part for parts in columns.values() for part, size in parts.items() if size):
        table.add_row(part, *(_amount(parts.get(part, 0), size) for parts in columns.values()))
    table.add_section()
    table.add_row("together", *(_amount(sum(parts.values()), size) for parts in columns.values()))
    console = Console()
    console.print(table)
    for stage, estimate in found.stages.items():
        host = f", {_amount(estimate.host, size)} {unit} of the host's to resume" if estimate.host else ""
        console.print(f"{stage}: {_amount(estimate.peak, size)} {unit} at most{host}", highlight=False)
    how = " and ".join(found.savings) + " counted" if found.savings else "all weights trained, activations kept"
    console.print(f"With {how}. Libraries come on top. Shapes: {found.source}.", highlight=False)


def _unit(most: int) -> tuple[str, int]:
    """The unit in which all amounts up to `most` bytes are told, and its bytes."""
    return ("GiB", 2**30) if most >= 2**30 else ("MiB", 2**20)


def _amount(num_bytes: int, size: int) -> str:
    if not num_bytes:
        return "–"
    return f"{num_bytes / size:.1f}" if num_bytes >= size / 20 else "< 0.1"
