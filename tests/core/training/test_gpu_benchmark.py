"""The benchmark for GPUs goes its whole way on a CPU with a tiny shape, and its floor is the arithmetic that it says."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1vl_core.training.meters import flops_of_group, flops_of_prompt, sizes_of
from tests.benchmarks.gpu_step import PHASES
from tests.benchmarks.step_cases import SHAPES
from tests.benchmarks.step_floor import Peak, floor
from tests.core.tiny_policies import some_prompts, tiny_policy

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_step.py"


def test_one_command_prints_every_phase_and_the_floor(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--shape", "tiny", "--peak", "1", "0.1", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    head, _, measured, in_graphs, least, *_ = (line.split(" | ") for line in done.stdout.splitlines())
    assert head[2:-3] == list(PHASES)
    assert len(measured) == len(in_graphs) == len(least) == len(head)
    (row,) = json.loads((tmp_path / "gpu_step.json").read_text())
    for side in ("ours", "graphs"):
        check_side(row[side], row["case"]["max_new_tokens"])


def check_side(facts: dict[str, Any], max_new_tokens: int) -> None:
    assert facts["mean_tokens"] == max_new_tokens, "no path should end early"
    for phases, wall in zip(facts["phases"], facts["wall"], strict=True):
        assert phases.keys() == set(PHASES)
        assert all(seconds > 0 for seconds in phases.values())
        assert sum(phases.values()) < wall


@pytest.mark.skipif(importlib.util.find_spec("trl") is not None, reason="trl is here")
def test_the_peer_is_asked_for_by_name_where_it_is_missing() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--shape", "tiny", "--peer"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("--peer needs trl in this environment; pip install trl (it takes datasets with it)")


def test_the_floor_is_the_arithmetic_at_the_peak_and_what_decoding_reads() -> None:
    policy = tiny_policy()
    (prompt,) = some_prompts(policy, 1)
    case = replace(SHAPES["tiny"][0], num_questions=3, group_size=2, max_new_tokens=2)
    sizes = sizes_of(policy)
    found = floor(policy, prompt, case, Peak(teraflops=1e-9, terabytes=1e3))  # 1,000 operations a second, and all the bandwidth there is
    assert found["prefill"] == pytest.approx(3 * flops_of_prompt(sizes, prompt) / 1e3)
    assert found["update"] == pytest.approx(3 * found["reference"]) == pytest.approx(9 * flops_of_group(sizes, prompt, [2, 2]) / 1e3)
    found = floor(policy, prompt, case, Peak(teraflops=1e3, terabytes=1e-9))
    kv = 2 * 2 * 2 * 2 * 8  # keys and values, two bytes, two layers, two heads, eight numbers
    weights = 2 * (sizes.per_token + sizes.per_scored)
    assert found["decode"] == pytest.approx((2 * weights + kv * (2 * 3 * len(prompt) + 6 * 1 + 6 * 2)) / 1e3)
    assert found["step"] == pytest.approx(sum(found[name] for name in ("prefill", "decode", "reference", "update")))
