"""The learning rate's way, as the steps really took it, and what the later dials leave alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from r1vl_core.config import Dials, Lora, StepGRPO, Warmup
from r1vl_core.training.schedule import share_of_peak
from r1vl_core.training.warmup import train
from tests.core.tiny_policies import tiny_policy
from tests.core.training.test_warmup import SETTINGS, some_examples
from tests.core.training.tiny_runs import run

RATES: dict[tuple[str, float], list[float]] = {
    ("linear", 0.0): [1, 0.75, 0.5, 0.25],
    ("linear", 0.5): [0.5, 1, 1, 0.5],
    ("cosine", 0.0): [1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5],
    ("cosine", 0.25): [1, 1, 0.75, 0.25],
    ("constant", 0.0): [1, 1, 1, 1],
    ("constant", 0.75): [1 / 3, 2 / 3, 1, 1],
}
"""Worked by hand for four steps."""


@pytest.mark.parametrize(("schedule", "warmup_ratio"), RATES)
def test_both_stages_take_their_steps_at_the_rates_of_the_schedule(schedule: Any, warmup_ratio: float) -> None:
    expected = [pytest.approx(1e-2 * share) for share in RATES[schedule, warmup_ratio]]
    _, reports = run(None, schedule=schedule, warmup_ratio=warmup_ratio)
    assert [report.metrics["learning_rate"] for report in reports] == expected
    policy = tiny_policy()
    examples = some_examples(policy)
    settings = SETTINGS.model_copy(update={"num_epochs": 1.6, "schedule": schedule, "warmup_ratio": warmup_ratio})
    taken = train(policy, examples.__getitem__, num_examples=5, settings=settings, seed=0)
    assert [report.metrics["learning_rate"] for report in taken] == expected


def test_a_rate_is_never_negative_nor_above_its_peak() -> None:
    for schedule in ("cosine", "linear", "constant"):
        for num_steps in (1, 2, 7, 100):
            for ratio in (0.0, 0.01, 0.5, 0.99):
                shares = [share_of_peak(schedule, step, num_steps, ratio) for step in range(num_steps)]  # type: ignore[arg-type]
                assert all(0 < share <= 1 for share in shares), (schedule, num_steps, ratio)


def test_stepgrpo_leaves_a_frozen_vision_tower_alone() -> None:
    before, _ = run(None, num_reports=0)
    trained, _ = run(None, freeze_vision=True)
    same = {name for name, weight in trained.model.named_parameters() if torch.equal(weight, before.model.get_parameter(name))}
    vision = {name for name, _ in trained.model.named_parameters() if name.startswith("model.visual.")}
    assert vision
    assert same == vision


@pytest.mark.parametrize(
    ("dials", "changes"),
    [
        (Warmup(), {"schedule": "linear", "lora": Lora()}),
        (StepGRPO(), {"schedule": "cosine", "warmup_ratio": 0.1, "freeze_vision": True, "lora": Lora()}),
    ],
)
def test_dials_that_came_later_enter_the_identity_only_when_set(dials: Dials, changes: dict[str, Any]) -> None:
    """Artifacts made before keep their keys; two different settings never share one."""
    default = dials.identity()
    assert not changes.keys() & default.keys()
    for name, value in changes.items():
        assert dials.model_copy(update={name: value}).identity().keys() - default.keys() == {name}
    earlier = type(dials).model_validate({"learning_rate": 0.5}).identity()
    assert earlier.keys() == default.keys()
    assert earlier != default
