"""What a step cost: memory at its peak, the model's arithmetic, and how much of the device's that was.

Only looked at, never fed back: training is the same to the bit with and without them.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from r1vl_core.policy.model import Policy, Prompt
from r1vl_core.policy.shared_prefix import SUPPORTED
from r1vl_core.training.groups import Group

PEAK_TFLOPS = {
    "A100": 312.0,  # NVIDIA A100 datasheet (2021)
    "H100 PCIe": 756.0,  # NVIDIA H100 datasheet (2023)
    "H100 NVL": 835.0,
    "H100": 989.0,
    "H200 NVL": 835.0,  # NVIDIA H200 datasheet (2024)
    "H200": 989.0,
    "L40S": 362.0,  # NVIDIA L40S datasheet (2023)
    "L40": 181.0,  # NVIDIA L40 datasheet (2022)
    "L4": 121.0,  # NVIDIA L4 datasheet (2023)
}
"""Dense bf16 matrix arithmetic of a GPU in 10^12 operations a second (half of a datasheet's figure "with sparsity"), by a part of its name;
the first that fits counts."""


class MemoryMeter:
    """Peak memory between `start` and `peak_mb`: allocated on a GPU; resident in this process on a CPU.

    Where the kernel does not let a process reset its own peak, the CPU's figure is the peak since the process began.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def start(self) -> None:
        """Forget the peak so far."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def peak_mb(self) -> float:
        """The peak since `start`, in MiB."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 2**20
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 2**10
        unit = 1 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a policy's arithmetic depends on: weights used by every token, by every scored token, and by every image patch;
    `width_layers` is query width times layers, of the language model and of the vision tower.

    >>> Sizes(1000, 100, 50, 64, 32).per_token
    1000
    """

    per_token: int
    per_scored: int
    per_patch: int
    width_layers: int
    vision_width_layers: int


def sizes_of(policy: Policy) -> Sizes:
    """Read from the model's modules; embeddings are looked up, not multiplied."""
    inner, config = policy.model.model, policy.model.config
    vision, text = config.vision_config, inner.language_model.config
    merged = text.num_attention_heads * getattr(text, "head_dim", text.hidden_size // text.num_attention_heads)
    looked_up = inner.language_model.embed_tokens.weight.numel()
    width = getattr(vision, "embed_dim", None) or vision.hidden_size
    num_vision = _num_weights(inner.visual) - sum(_num_weights(m) for m in inner.visual.modules() if isinstance(m, torch.nn.Embedding))
    num_merger = sum(_num_weights(module) for name, module in inner.visual.named_children() if "merger" in name)  # deepstack's too
    return Sizes(
        _num_weights(inner.language_model) - looked_up,
        policy.model.lm_head.weight.numel(),
        # a merger multiplies once for every spatial_merge_size^2 patches
        num_vision - num_merger + num_merger // vision.spatial_merge_size**2,
        merged * text.num_hidden_layers,
        width * vision.depth,
    )


def flops_of_prompt(sizes: Sizes, prompt: Prompt) -> float:
    """Multiplications and additions of reading a prompt with its pictures once, 2 for each weight and token; causal attention is half
    a square."""
    num_tokens, patches = len(prompt), prompt.image_grid_thw.prod(-1).tolist()
    language = 2.0 * sizes.per_token * num_tokens + 2.0 * sizes.width_layers * num_tokens**2
    vision = sum(2.0 * sizes.per_patch * num + 4.0 * sizes.vision_width_layers * num**2 for num in patches)
    return language + vision


def flops_of_path(sizes: Sizes, prompt_length: int, length: int) -> float:
    """Those of going on for `length` tokens behind a prompt, each token scored over the whole vocabulary."""
    return (2.0 * (sizes.per_token + sizes.per_scored) + 4.0 * sizes.width_layers * (prompt_length + length / 2)) * length


def flops_of_group(sizes: Sizes, prompt: Prompt, lengths: Sequence[int]) -> float:
    """Those of one forward over a prompt, read once, and its paths."""
    return flops_of_prompt(sizes, prompt) + sum(flops_of_path(sizes, len(prompt), length) for length in lengths)


def work_of_step(
    policy: Policy, sampled: Iterable[Group], trained: Iterable[Group], *, has_reference: bool, num_updates: int
) -> tuple[float, dict[str, float]]:
    """The arithmetic of a StepGRPO step, and the tokens of its phases beside those sampled: each prompt is read once for its group.

    A backward pass is two forwards. What is computed again to save memory is not counted.
    """
    sizes = sizes_of(policy)

    def flops(groups: Sequence[Group]) -> float:
        return sum(flops_of_group(sizes, group.prompt, [len(rollout.token_ids) for rollout in group.rollouts]) for group in groups)

    sampled, trained = list(sampled), list(trained)
    read = float(sum(len(group.prompt) + group.num_tokens for group in trained))
    tokens = {
        "tokens_encode": float(sum(len(group.prompt) for group in sampled)),
        "tokens_reference": read * has_reference,
        "tokens_update": read * num_updates,
    }
    return flops(sampled) + (has_reference + 3 * num_updates) * flops(trained), tokens


def utilisation(policy: Policy, flops: float, seconds: float) -> dict[str, float]:
    """`model_flops_utilisation`: the share of the device's peak that the model's own arithmetic came to; nothing if either is unknown."""
    is_counted = policy.device.type == "cuda" and policy.model.config.model_type in SUPPORTED  # others have experts, or running states
    peak = _peak(torch.cuda.get_device_name(policy.device)) if is_counted else None
    return {} if peak is None or seconds <= 0 else {"model_flops_utilisation": flops / seconds / peak}


def _peak(name: str) -> float | None:
    """Operations a second of the GPU of that name.

    >>> _peak("NVIDIA H200"), _peak("NVIDIA H100 PCIe"), _peak("NVIDIA L40S"), _peak("Abacus 3")
    (989000000000000.0, 756000000000000.0, 362000000000000.0, None)
    """
    return next((tflops * 1e12 for part, tflops in PEAK_TFLOPS.items() if part in name), None)


def _num_weights(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.ndim >= 2)
