"""Curation by difficulty through the stages: measured once, StepGRPO learns from the questions between, and nobody else notices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars
import pytest

from r1vl_core.config import Difficulty, Preset, parse_preset
from r1vl_core.data.database import read_questions
from r1vl_core.training.difficulty import PassRate, read_pass_rates, write_pass_rates
from tasks import difficulty, key_steps, stepgrpo, warmup
from tasks.inputs import DigestCache, Inputs
from tasks.registry import STAGES
from tasks.stages import StageResult, bring_up_to_date, in_order
from tests.tasks.small_pipeline import RUNTIME, SMALL, copied, shared_store

ASKED = {"difficulty": {"num_samples": 4}}
pytestmark = pytest.mark.timeout(600)  # a warm-up, slow where other work keeps the processors busy


def preset(**groups: Any) -> Preset:
    return parse_preset({**SMALL, "stepgrpo": {**SMALL["stepgrpo"], "num_steps": 2}, **groups}, "test")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StageResult]:
    shared = shared_store(tmp_path_factory)
    bring_up_to_date("warmup", STAGES, preset(**ASKED), RUNTIME, shared)
    return bring_up_to_date("stepgrpo", STAGES, preset(**ASKED), RUNTIME, copied(shared, tmp_path_factory.mktemp("root")))


def test_without_the_dials_there_is_no_such_stage_and_no_other_key(tmp_path: Path) -> None:
    assert "difficulty" not in [stage.name for stage in in_order(STAGES, "report", preset())]
    with pytest.raises(ValueError, match=r"stage 'difficulty': preset small leaves it out; .* give the preset \[difficulty\]"):
        in_order(STAGES, "difficulty", preset())
    inputs = Inputs({"key_steps": "b", "warmup": "c"}, DigestCache(tmp_path / "digests.sqlite"))
    assert "pass_rates" not in stepgrpo.recipe(preset(), inputs).settings
    for stage in (key_steps, warmup):
        assert stage.recipe(preset(), inputs).key == stage.recipe(preset(**ASKED), inputs).key


def test_other_bounds_cost_no_sampling(tmp_path: Path) -> None:
    inputs = Inputs({"key_steps": "b", "warmup": "c"}, DigestCache(tmp_path / "digests.sqlite"))
    narrower = preset(difficulty={"num_samples": 4, "above": 0.25})
    assert difficulty.recipe(narrower, inputs).key == difficulty.recipe(preset(**ASKED), inputs).key
    assert stepgrpo.recipe(preset(**ASKED), inputs).first_difference(stepgrpo.recipe(narrower, inputs)) == (
        "settings.pass_rates.above: 0.0 -> 0.25"
    )


def test_bounds_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="no pass rate lies between them"):
        Difficulty(above=0.5, below=0.5)


def test_stepgrpo_samples_only_questions_answered_right_now_and_then(built: dict[str, StageResult]) -> None:
    rates = read_pass_rates(built["difficulty"].artifact.path / difficulty.PASS_RATES)
    questions = read_questions(built["key_steps"].artifact.path / key_steps.DATABASE)
    assert [rate.question_id for rate in rates] == [question.id for question in questions]
    between = {rate.question_id for rate in rates if 0 < rate.num_right < rate.num_samples == 4}
    sampled = polars.read_parquet(built["stepgrpo"].artifact.path / "rollouts" / "*.parquet")["question_id"]
    assert 0 < len(between) < len(rates), "the policy is neither perfect nor hopeless on every question"
    assert set(sampled) <= between


def test_none_between_the_bounds_is_said(tmp_path: Path) -> None:
    write_pass_rates(tmp_path / difficulty.PASS_RATES, [PassRate("a", 4, 0, 0, 9.0), PassRate("b", 4, 4, 0, 9.0)])
    with pytest.raises(ValueError, match="none of 2 questions has a pass rate between 0 and 1 over 4 paths"):
        difficulty.chosen(tmp_path, Difficulty(num_samples=4))
    write_pass_rates(tmp_path / difficulty.PASS_RATES, [PassRate("a", 4, 1, 0, 9.0), PassRate("b", 4, 2, 0, 9.0)])
    assert difficulty.chosen(tmp_path, Difficulty(num_samples=4)) == {"a", "b"}
    assert difficulty.chosen(tmp_path, Difficulty(num_samples=4, above=0.25)) == {"b"}
