"""Validation through the stages: nobody trains on what is set aside, and the policy handed on is the one the run says."""

import json
from pathlib import Path

import pytest

from r1vl_core.config import Preset, Runtime, parse_preset
from r1vl_core.data.database import read_questions
from r1vl_core.training.stopping import OUTCOME
from tasks import curate, key_steps, stepgrpo
from tasks.inputs import DigestCache, Inputs
from tasks.registry import STAGES
from tasks.reports import read_reports
from tasks.stages import bring_up_to_date
from tasks.store import Store

SMALL = {
    "name": "small",
    "prompt": "plain",
    "max_pixels": 200704,
    "world": {"num_questions": 20, "num_heldout": 4, "seed": 5},
    "warmup": {"num_epochs": 2.0, "batch_size": 6, "learning_rate": 2e-3},
    "stepgrpo": {"num_steps": 3, "questions_per_step": 2, "group_size": 2, "max_new_tokens": 40, "learning_rate": 1e-3},
}


def preset(curate: dict[str, int] | None = None, **dials: float | str) -> Preset:
    return parse_preset({**SMALL, "curate": curate or {}, "stepgrpo": {**SMALL["stepgrpo"], **dials}}, "test")


def test_dials_at_their_defaults_are_no_part_of_a_recipe(tmp_path: Path) -> None:
    """Artifacts made before there were these dials are found again."""
    inputs = Inputs({"curate": "a", "key_steps": "b", "warmup": "c"}, DigestCache(tmp_path / "digests.sqlite"))
    before = stepgrpo.recipe(preset(), inputs)
    spelled_out = {"probe_every": 10, "eval_every": 0, "keep": "last", "max_kl": 0, "min_reward": 0, "stop_window": 5, "reward_limit_s": 9}
    assert stepgrpo.recipe(preset(**spelled_out), inputs).key == before.key
    assert not spelled_out.keys() & before.settings.keys()
    assert before.first_difference(stepgrpo.recipe(preset(max_kl=2.0), inputs)) == "settings.max_kl: absent -> 2.0"
    without = curate.recipe(preset(), Inputs({}, DigestCache(tmp_path / "digests.sqlite")))
    assert "eval_questions" not in without.settings
    aside = curate.recipe(preset({"eval_questions": 4}), Inputs({}, DigestCache(tmp_path / "digests.sqlite")))
    assert without.first_difference(aside) == "settings.eval_questions: absent -> 4"


def test_evaluating_without_questions_set_aside_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no question is set aside; set curate\.eval_questions"):
        preset(eval_every=2)


def test_the_best_policy_by_questions_that_nobody_trains_on(tmp_path: Path) -> None:
    dials = {"eval_every": 1, "keep": "best"}
    asked = preset({"eval_questions": 5}, **dials)
    built = bring_up_to_date("stepgrpo", STAGES, asked, Runtime(num_workers=1, device="cpu"), Store(tmp_path))
    folders = {name: result.artifact.path for name, result in built.items()}
    training = {question.id for question in read_questions(folders["curate"] / curate.DATABASE)}
    aside = {question.id for question in read_questions(folders["key_steps"] / curate.VALIDATION)}
    assert len(aside) == 5
    assert not aside & (training | {question.id for question in read_questions(folders["key_steps"] / key_steps.DATABASE)})
    reports = read_reports(folders["stepgrpo"])
    found = [report.metrics["validation_accuracy"] for report in reports]
    outcome = json.loads((folders["stepgrpo"] / OUTCOME).read_text())
    found = [reports[0].metrics["start_accuracy"], *found]
    assert outcome == {"policy_step": found.index(max(found)), "validation_accuracy": max(found), "stopped_early": None}
