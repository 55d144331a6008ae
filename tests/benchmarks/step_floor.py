"""The least time a step can take: the model's arithmetic at a device's peak, and what decoding must read (`engine.md`, section 3).

Letters: P questions, M paths of each, B = P * M, T prompt tokens, C tokens of a path; F peak operations a second, W bytes a second.

    prefill     P * flops(prompt, vision tower included) / F
    decode      sum over t = 1..C of max(bytes(t) / W, flops(t) / F), where a token step reads every weight once in bf16, each prompt's
                keys and values once for its group and those of each path so far: bytes(t) = 2 * weights + kv * (P * T + B * t)
    reference   P * flops(prompt and its M paths) / F
    update      as many forwards of them: 3, or 2 where only adapters have gradients
"""

from __future__ import annotations

from dataclasses import dataclass

from r1vl_core.policy.model import Policy, Prompt
from r1vl_core.training.meters import PEAK_TFLOPS, flops_of_group, flops_of_prompt, sizes_of
from tests.benchmarks.step_cases import Case

TERABYTES = {
    "A100": 2.0,  # NVIDIA A100 80GB datasheet (2021)
    "H100 PCIe": 2.0,  # NVIDIA H100 datasheet (2023)
    "H100 NVL": 3.9,
    "H100": 3.35,
    "H200": 4.8,  # NVIDIA H200 datasheet (2024)
    "L40": 0.864,  # NVIDIA L40 and L40S datasheets
    "L4": 0.3,  # NVIDIA L4 datasheet (2023)
}
"""Memory bandwidth of a GPU in 10^12 bytes a second, by a part of its name; the first that fits counts."""


@dataclass(frozen=True, slots=True)
class Peak:
    """10^12 bf16 operations and 10^12 bytes a second.

    >>> Peak.of("NVIDIA H200")
    Peak(teraflops=989.0, terabytes=4.8)
    """

    teraflops: float
    terabytes: float

    @classmethod
    def of(cls, name: str) -> Peak | None:
        """Of the GPU of that name; None where it is not known."""
        found = [next((value for part, value in table.items() if part in name), None) for table in (PEAK_TFLOPS, TERABYTES)]
        return None if None in found else cls(*found)  # type: ignore[arg-type]


def floor(policy: Policy, prompt: Prompt, case: Case, peak: Peak) -> dict[str, float]:
    """Seconds by phase, and of all, of a step whose prompts are like `prompt` and whose paths all have `max_new_tokens`."""
    sizes, text = sizes_of(policy), policy.model.config.text_config
    rows, lengths = case.num_questions * case.group_size, [case.max_new_tokens] * case.group_size
    weights = sizes.per_token + sizes.per_scored
    kv = 2 * 2 * text.num_hidden_layers * text.num_key_value_heads * (text.hidden_size // text.num_attention_heads)
    flops, width = peak.teraflops * 1e12, peak.terabytes * 1e12
    decode = 0.0
    for token in range(1, case.max_new_tokens + 1):
        read = 2 * weights + kv * (case.num_questions * len(prompt) + rows * token)
        decode += max(read / width, rows * (2.0 * weights + 4.0 * sizes.width_layers * (len(prompt) + token)) / flops)
    forward = case.num_questions * flops_of_group(sizes, prompt, lengths) / flops
    phases = {
        "prefill": case.num_questions * flops_of_prompt(sizes, prompt) / flops,
        "decode": decode,
        "reference": forward,
        "update": (2 if case.lora else 3) * forward,
    }
    return {**phases, "step": sum(phases.values())}
