"""What `r1vl submit` sends to a deployment."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from flows.deploying import DEPLOYMENTS
from flows.submitting import laid_over

OWN: dict[str, dict[str, Any]] = {each["name"]: each["parameters"] for each in yaml.safe_load(DEPLOYMENTS.read_text())["deployments"]}


def test_one_setting_more_leaves_the_deployments_own_settings() -> None:
    assert OWN["difficulty"]["overrides"]
    sent = laid_over(OWN["difficulty"], {"overrides": {"difficulty.above": 0.25}, "seed": 1})
    assert sent == {**OWN["difficulty"], "seed": 1, "overrides": {**OWN["difficulty"]["overrides"], "difficulty.above": 0.25}}


def test_what_is_given_wins_and_nothing_is_added() -> None:
    assert laid_over(OWN["difficulty"], {"overrides": {"difficulty.num_samples": 4}})["overrides"] == {"difficulty.num_samples": 4}
    assert laid_over(OWN["curate"], {}) == OWN["curate"]


def test_a_value_that_does_not_fit_is_refused_before_a_run_is_made() -> None:
    with pytest.raises(ValueError, match=r"--set curate.eval_questions=nope: must be a whole number"):
        laid_over(OWN["curate"], {"overrides": {"curate.eval_questions": "nope"}})


def test_a_preset_that_lies_with_the_worker_is_left_to_it() -> None:
    assert laid_over({"preset": "/far/away.toml"}, {"overrides": {"seed": 1}}) == {"preset": "/far/away.toml", "overrides": {"seed": 1}}
