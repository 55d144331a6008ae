"""On the same paths and rewards an update is TRL's: advantages, loss, gradient, weights afterwards. See `trl_oracle.py`."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
import torch

from r1vl_core.policy.model import Policy
from r1vl_core.policy.rollout import Rollout
from r1vl_core.reasoning.rewards import Reward
from r1vl_core.training import optimizer as optimizers
from r1vl_core.training.groups import Group, judged_groups
from tests.core.training import trl_cases
from tests.core.training.tiny_runs import update_of
from tests.core.training.trl_cases import CASES, FOUND, NUM_QUESTIONS, fingerprints, settings

TRL = json.loads(FOUND.read_text(encoding="utf-8"))["cases"]


def given_groups(policy: Policy, name: str) -> list[list[Group]]:
    """The groups of each batch of samples that a case takes."""
    asked, paths, rewards = trl_cases.questions(), trl_cases.paths(policy), trl_cases.rewards()
    batches = []
    for first in range(0, len(TRL[name]["advantages"]) * NUM_QUESTIONS, NUM_QUESTIONS):
        batch = range(first, first + NUM_QUESTIONS)
        prompts = [policy.encode(str(at), *asked[at]) for at in batch]
        earned = iter([reward for at in batch for reward in rewards[at]])
        rollouts = [
            Rollout(str(at), path, (0.0,) * len(path), truncated=path[-1] not in policy.end_token_ids) for at in batch for path in paths[at]
        ]

        def pay(_: int, __: str, earned: Any = earned) -> Reward:
            return Reward(next(earned), 0.0, 0.0, (), (), "wrong", "", None, ())

        batches.append(judged_groups(policy, batch, prompts, rollouts, pay, settings(CASES[name])))
    return batches


def assert_same(mine: dict[str, list[float]], theirs: dict[str, list[float]], tolerance: float) -> None:
    """Norms and products of every tensor differ by at most this share of the longest tensor."""
    assert mine.keys() == theirs.keys()
    ours, trl = (np.array([found[name] for name in mine]) for found in (mine, theirs))
    assert np.abs(ours - trl).max() <= tolerance * trl[:, 0].max()


@pytest.mark.parametrize("name", CASES)
def test_advantages_are_trl_s(name: str) -> None:
    policy, _ = trl_cases.policy_and_reference()
    for batch, advantages in zip(given_groups(policy, name), TRL[name]["advantages"], strict=True):
        assert [advantage for group in batch for advantage in group.credit.paths] == pytest.approx(advantages, abs=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_losses_gradients_and_updates_are_trl_s(name: str) -> None:
    policy, reference = trl_cases.policy_and_reference()
    sampling, chosen = copy.deepcopy(policy), settings(CASES[name])
    optimizer = optimizers.adamw(policy.model, chosen.learning_rate, chosen.weight_decay)
    batches = given_groups(policy, name) * chosen.num_updates
    for at, (groups, theirs) in enumerate(zip(batches, TRL[name]["steps"], strict=True)):
        old = sampling if chosen.num_updates > 1 else None
        sums, gradient = update_of(policy, groups, chosen, reference=reference if chosen.beta else None, old=old)
        assert sums.loss == pytest.approx(theirs["loss"], abs=1e-5)
        assert float(gradient.norm()) == pytest.approx(theirs["grad_norm"], rel=1e-5)
        torch.nn.utils.clip_grad_norm_(policy.model.parameters(), chosen.max_grad_norm)
        assert_same(fingerprints(policy.model, of_gradient=True), theirs["clipped_gradient"], 1e-5)
        optimizers.update(policy.model, optimizer, theirs["learning_rate"], chosen.max_grad_norm)
        assert_same(fingerprints(policy.model, of_gradient=False), theirs["weights"], 1e-5)
        assert theirs["learning_rate"] == chosen.learning_rate * (1 - at / 2)
