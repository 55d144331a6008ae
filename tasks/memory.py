"""How much memory a preset's training takes: its model's shapes found, nothing loaded or downloaded."""

from __future__ import annotations

from dataclasses import dataclass

from r1vl_core.config import Preset, Runtime
from r1vl_core.training import memory
from r1vl_core.training.memory import Estimate
from tasks.checkpoints import NotFetched, find_checkpoint


@dataclass(frozen=True)
class MemoryPlan:
    """Estimates by stage, where the model's shapes came from, and for which device and micro-batch.

    `uncounted` names what is set that takes less memory than is told here.

    >>> MemoryPlan({}, "config.json of the checkpoint", "cuda", 16384, ("LoRA",)).device
    'cuda'
    """

    stages: dict[str, Estimate]
    source: str
    device: str
    token_budget: int
    uncounted: tuple[str, ...]


def plan_memory(preset: Preset, runtime: Runtime) -> MemoryPlan:
    """Memory of warm-up and StepGRPO. Raises ValueError for a model that is not at hand and whose shapes are not known.

    With device "auto" a model that is not at hand, or has more than 200 million weights, is thought of on a GPU.
    """
    try:
        shapes, source = memory.folder_shapes(find_checkpoint(preset, download=False)), "config.json of the checkpoint"
    except NotFetched:
        shapes, source = memory.known_shapes(preset.model), f"{preset.model} is not at hand: shapes kept in r1vl_core/training/memory.py"
    device = runtime.device if runtime.device != "auto" else "cuda" if shapes.num_weights > 200e6 else "cpu"
    budget = runtime.token_budget or memory.token_budget(device)
    stages = {
        "warmup": memory.estimate_warmup(shapes, preset, device, budget),
        "stepgrpo": memory.estimate_stepgrpo(shapes, preset, device, budget),
    }
    return MemoryPlan(stages, source, device, budget, _uncounted(preset, runtime))


def _uncounted(preset: Preset, runtime: Runtime) -> tuple[str, ...]:
    launch = runtime.accelerate_config
    dials = {
        "LoRA": preset.warmup.lora or preset.stepgrpo.lora,
        "gradient checkpointing": runtime.gradient_checkpointing,
        "sharding": launch and "fsdp" in launch.read_text(encoding="utf-8").lower(),
    }
    return tuple(name for name, is_set in dials.items() if is_set)
