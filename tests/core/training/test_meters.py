"""What is measured of a step is what happened, and measuring changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from r1vl_core.policy.logprobs import score_shared
from r1vl_core.training.meters import MemoryMeter, flops_of_group, sizes_of
from tests.core.tiny_policies import ARCHITECTURES, some_prompts, tiny_policy
from tests.core.training.tiny_runs import run


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_arithmetic_of_a_forward_is_that_of_its_matrix_products(architecture: str) -> None:
    """Counted by torch, operation by operation. It counts the half of the square that causal attention hides as well; a path's last token
    is not fed, which we count."""
    policy, length = tiny_policy(architecture), 40
    sizes = sizes_of(policy)
    for prompt in some_prompts(policy):
        with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            score_shared(policy, [prompt], [[torch.arange(8, 8 + length)] * 3], 1.0)
        hidden = 2 * sizes.width_layers * (len(prompt) ** 2 + 3 * length**2)
        assert flops_of_group(sizes, prompt, [length] * 3) + hidden == pytest.approx(counter.get_total_flops(), rel=0.05)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_arithmetic_of_a_picture_is_that_of_the_vision_tower(architecture: str) -> None:
    """Every merger works on merged patches, those of deepstack too, and position embeddings are looked up."""
    policy = tiny_policy(architecture)
    sizes, prompt = sizes_of(policy), some_prompts(policy)[1]
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        policy.model.model.get_image_features(prompt.pixel_values, prompt.image_grid_thw)
    num_patches = len(prompt.pixel_values)
    ours = 2 * sizes.per_patch * num_patches + 4 * sizes.vision_width_layers * num_patches**2
    assert ours == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_peak_memory_is_that_of_the_time_between(tmp_path: Path) -> None:
    meter = MemoryMeter(torch.device("cpu"))
    meter.start()
    before = meter.peak_mb()
    block = torch.ones(64 * 2**18)
    with_block = meter.peak_mb()
    del block
    assert with_block > before + 50
    meter.start()
    assert meter.peak_mb() < with_block - 50


def test_every_report_has_memory_and_tokens_by_phase() -> None:
    _, reports = run(None, num_updates=2)
    for report in reports:
        metrics = report.metrics
        assert metrics["peak_memory_mb"] > 50
        assert metrics["tokens_reference"] > metrics["tokens"] > 0
        assert metrics["tokens_update"] == 2 * metrics["tokens_reference"]
        assert metrics["tokens_encode"] + metrics["tokens"] == metrics["tokens_reference"]
        assert "model_flops_utilisation" not in metrics, "nobody knows the peak of a CPU"


def test_without_a_reference_and_with_groups_left_out_fewer_tokens_are_read() -> None:
    _, reports = run(None, beta=0.0)
    for report in reports:
        metrics = report.metrics
        assert metrics["tokens_reference"] == 0
        assert metrics["tokens_update"] <= metrics["tokens_encode"] + metrics["tokens"]
