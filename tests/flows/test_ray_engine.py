"""Ray as the engine of shards: the very tables that one process makes. Skipped where the extra `r1vl[ray]` is not installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.engines import engine_of
from flows.runtime import HOME
from r1vl_core.config import Runtime, load_preset
from r1vl_core.data.image_checker import ImageChecker
from tasks.registry import STAGES
from tasks.shards import processes
from tasks.stages import bring_up_to_date
from tasks.store import Store

HAS_RAY = importlib.util.find_spec("prefect_ray") is not None
needs_ray = pytest.mark.skipif(not HAS_RAY, reason="prefect-ray is not installed (pip install 'r1vl[ray]')")
PRESET = f"""
prompt = "plain"
max_pixels = 200704
world = {{num_questions = {2 * ImageChecker.SHARD + 44}, num_heldout = 12, seed = 5}}
"""


def run(preset: Path, root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`r1vl run PRESET --until key_steps`, as a person gives it."""
    command = [sys.executable, "-m", "flows", "run", str(preset), "--until", "key_steps", "--root", str(root)]
    env = {**os.environ, **environment, "R1VL_ENGINE": "ray", "PYTHONPATH": str(HOME)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=500)


def test_processes_are_the_engine_unless_another_is_named() -> None:
    assert engine_of(Runtime()) is processes


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray_the_cure_is_named() -> None:
    runtime = Runtime(engine="ray")
    with pytest.raises(ValueError, match=r"pip install 'r1vl\[ray\]'"), engine_of(runtime)(runtime):
        pass


@needs_ray
@pytest.mark.timeout(600)  # servers and a cluster start, slowly where other work keeps the processors busy
def test_two_workers_of_ray_make_the_tables_of_one_process(tmp_path: Path) -> None:
    preset = tmp_path / "small.toml"
    preset.write_text(PRESET)
    done = run(preset, tmp_path / "ray", R1VL_NUM_WORKERS="2")
    assert done.returncode == 0, done.stderr[-3000:]
    runtime = Runtime(num_workers=1, device="cpu")
    by_ray = bring_up_to_date("key_steps", STAGES, load_preset(preset), runtime, Store(tmp_path / "ray"))
    assert {result.state for result in by_ray.values()} == {"cached"}
    alone = bring_up_to_date("key_steps", STAGES, load_preset(preset), runtime, Store(tmp_path / "alone"))
    assert {name: result.digest for name, result in alone.items()} == {name: result.digest for name, result in by_ray.items()}


@needs_ray
@pytest.mark.timeout(600)
def test_a_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    preset = tmp_path / "small.toml"
    preset.write_text(PRESET)
    done = run(preset, tmp_path / "root", R1VL_RAY_ADDRESS="ray://127.0.0.1:9")
    assert done.returncode == 2
    assert "R1VL_RAY_ADDRESS=ray://127.0.0.1:9: " in done.stderr.splitlines()[-1]
