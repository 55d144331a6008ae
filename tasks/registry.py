"""The stages of r1vl, in the order they depend on each other."""

from __future__ import annotations

from tasks import curate, difficulty, evaluate, key_steps, report, stepgrpo, warmup, world
from tasks.stages import Stage

STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        world.STAGE,
        curate.STAGE,
        key_steps.STAGE,
        warmup.STAGE,
        difficulty.STAGE,
        stepgrpo.STAGE,
        evaluate.STAGE,
        report.STAGE,
    )
}
"""Every stage by its name; presets with sources of their own leave out `world`, those without the dials `difficulty`."""
