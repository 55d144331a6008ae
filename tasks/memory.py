"""How much memory a preset's training takes: its model's shapes found, nothing loaded or downloaded."""

from __future__ import annotations

from dataclasses import dataclass

from r1vl_core.config import Lora, Preset, Runtime
from r1vl_core.training import memory
from r1vl_core.training.memory import Estimate, Machine
from r1vl_core.training.shapes import folder_shapes, known_shapes
from tasks.checkpoints import NotFetched, find_checkpoint
from tasks.launch import accelerate_settings


@dataclass(frozen=True)
class MemoryPlan:
    """Estimates by stage, where the model's shapes came from, for which machine, and what on it takes memory off, by name.

    >>> MemoryPlan({}, "config.json of the checkpoint", Machine("cuda", 16384), ("gradient checkpointing",)).machine.device
    'cuda'
    """

    stages: dict[str, Estimate]
    source: str
    machine: Machine
    savings: tuple[str, ...]


def plan_memory(preset: Preset, runtime: Runtime) -> MemoryPlan:
    """Memory of warm-up and StepGRPO in each process. Raises ValueError for a model that is not at hand and whose shapes are not known.

    With device "auto" a model that is not at hand, or has more than 200 million weights, is thought of on a GPU.
    """
    try:
        shapes, source = folder_shapes(find_checkpoint(preset, download=False)), "config.json of the checkpoint"
    except NotFetched:
        shapes, source = known_shapes(preset.model), f"{preset.model} is not at hand: shapes kept in r1vl_core/training/shapes.py"
    device = runtime.device if runtime.device != "auto" else "cuda" if shapes.num_weights > 200e6 else "cpu"
    num_processes, sharded = _processes(runtime)
    budget = runtime.token_budget or memory.token_budget(device)
    machine = Machine(device, budget, runtime.gradient_checkpointing, num_processes, sharded)
    stages = {
        "warmup": memory.estimate_warmup(shapes, preset, machine),
        "stepgrpo": memory.estimate_stepgrpo(shapes, preset, machine),
    }
    return MemoryPlan(stages, source, machine, _savings(preset, machine))


def _processes(runtime: Runtime) -> tuple[int, bool]:
    """How many processes train, and whether they share the weights out. Raises ValueError for a file that is none of accelerate's."""
    if runtime.accelerate_config is None:
        return runtime.num_processes, False
    table = accelerate_settings(runtime.accelerate_config)
    return int(table.get("num_processes", 1)), table.get("distributed_type") == "FSDP"


def _savings(preset: Preset, machine: Machine) -> tuple[str, ...]:
    def adapters(stage: str, lora: Lora | None) -> str | None:
        return f"adapters of rank {lora.rank} in {stage}" if lora else None

    found = [
        adapters("warm-up", preset.warmup.lora),
        adapters("StepGRPO", preset.stepgrpo.lora),
        "gradient checkpointing" if machine.recompute else None,
        f"shards on {machine.num_shards} devices" if machine.sharded else None,
    ]
    return tuple(filter(None, found))
