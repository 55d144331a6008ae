"""What the presets say of memory is what `r1vl plan --memory` computes."""

from __future__ import annotations

import re

import pytest

from flows.choosing import choose
from r1vl_core.training.memory import Machine, estimate_stepgrpo, estimate_warmup
from r1vl_core.training.shapes import known_shapes


@pytest.mark.parametrize("name", ["r1vl-2b", "r1vl-7b"])
def test_a_preset_says_the_memory_it_takes(name: str) -> None:
    preset = choose(name)
    said = re.search(r"(\d+) GiB for warm-up, (\d+) for StepGRPO; (\d+) and (\d+) with R1VL_TOKEN_BUDGET=4096", preset.description)
    assert said
    shapes = known_shapes(preset.model)
    both = (estimate_warmup, estimate_stepgrpo)
    peaks = [estimate(shapes, preset, Machine("cuda", budget)).peak / 2**30 for budget in (16384, 4096) for estimate in both]
    assert list(map(int, said.groups())) == pytest.approx(peaks, abs=1)
