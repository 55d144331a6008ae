"""On a device of its own the engine computes what it does in main memory, mixes no devices, and seldom waits.

Where there is a GPU, that is the device; elsewhere one is pretended (`tests/core/pretended/device.py`).
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from r1vl_core.config import Lora
from r1vl_core.policy.model import Policy
from r1vl_core.policy.recompute import recompute_activations
from r1vl_core.policy.rollout import generate
from tests.core.tiny_policies import ARCHITECTURES, favour, some_prompts, tiny_policy
from tests.core.training.tiny_runs import ending_policy, run

CASES: dict[str, dict[str, Any]] = {
    "the paper's": {},
    "dense, two updates": {"forward": "dense", "num_updates": 2, "beta": 0.0},
    "adapters": {"lora": Lora(rank=2)},
    "frozen vision, recomputed": {"freeze_vision": True},
}


def made(name: str) -> Policy:
    policy = ending_policy()
    if "recomputed" in name:
        recompute_activations(policy)
    return policy


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, and nothing to pretend")
@pytest.mark.timeout(600)
def test_on_a_pretended_device() -> None:
    """A device once registered stays in its process, so these tests have one of their own."""
    checks = Path(__file__).parents[1] / "pretended" / "engine.py"
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", checks]  # which leave its folder out
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", CASES)
def test_training_on_a_gpu_is_training_in_main_memory(name: str) -> None:
    def there() -> Policy:
        policy = dataclasses.replace(made(name), precision="fp32")
        policy.model.to("cuda")
        return policy

    options = {"num_steps": 1, "num_questions": 3, **CASES[name]}
    _, (expected,) = run(None, make=lambda: made(name), **options)
    _, (found,) = run(None, make=there, **options)
    for metric in ("loss", "grad_norm", "kl", "entropy"):
        assert found.metrics[metric] == pytest.approx(expected.metrics[metric], abs=1e-3), metric


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_graphs_on_a_gpu_draw_what_is_drawn_without_them(architecture: str) -> None:
    policy = dataclasses.replace(tiny_policy(architecture), precision="fp32")
    favour(policy, policy.end_token_ids[0], by=2.0)
    policy.model.to("cuda")
    prompts, seeds = some_prompts(policy, 4), [(0, index) for index in range(4)]
    eager, graphs = (
        generate(way, prompts, num_samples=4, max_new_tokens=150, temperature=1.1, seeds=seeds)
        for way in (policy, dataclasses.replace(policy, decoding="graphs"))
    )
    assert len({len(rollout.token_ids) for rollout in eager}) > 5, "rows should leave at different times"
    assert [rollout.token_ids for rollout in graphs] == [rollout.token_ids for rollout in eager]
    for mine, theirs in zip(graphs, eager, strict=True):
        torch.testing.assert_close(torch.tensor(mine.logprobs), torch.tensor(theirs.logprobs), atol=1e-4, rtol=0)
