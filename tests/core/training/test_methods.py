"""Every combination of methods equals a plain loop in double precision, value and gradient, and depends on nothing it should not."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from r1vl_core.config import StepGRPO
from r1vl_core.policy.logprobs import score_dense
from r1vl_core.policy.model import Policy
from r1vl_core.policy.rollout import Rollout, generate
from r1vl_core.training.backward import Sums
from r1vl_core.training.groups import Group, judged_groups
from r1vl_core.training.metrics import means
from r1vl_core.training.optimizer import adamw, update
from r1vl_core.training.order import draw
from tests.core.tiny_policies import some_prompts
from tests.core.training.tiny_runs import SETTINGS, a_reward, backwards, ending_policy, run, some_groups, update_of, weights
from tests.core.training.written_paths import ALPHA, GROUPS, Written, groups_of, part_of_each_token

MEANS = [("grpo", "path"), ("grpo", "token"), ("grpo", "constant"), ("rloo", "path"), ("rloo", "token"), ("rloo", "constant")]
MEANS += [("dr_grpo", "constant")]
PAID = [("outcome", "path"), ("step_rar", "path"), ("step_rvr", "path"), ("both", "path"), ("step_rar", "step"), ("both", "step")]
COMBINATIONS = [
    {"reward": reward, "credit": credit, "advantage": advantage, "loss_mean": loss_mean, "beta": (0.3, 0.0)[(place + other) % 2]}
    for place, (advantage, loss_mean) in enumerate(MEANS)
    for other, (reward, credit) in enumerate(PAID)
]
COMBINATIONS.append({"beta": 0.3, "kl": "weighted_k3"})
SOME = [COMBINATIONS[len(PAID) * place + (5 - place) % len(PAID)] for place in range(len(MEANS))]  # each mean once, each kind of pay


def named(combination: dict[str, Any]) -> str:
    """How pytest calls it."""
    return " ".join(map(str, combination.values()))


def dials(combination: dict[str, Any]) -> StepGRPO:
    return StepGRPO(**combination, group_size=4, temperature=1.2, max_new_tokens=120, alpha=ALPHA, clip_low=0.1, clip_high=0.15)


def moved(policy: Policy, seed: int) -> Policy:
    """The policy after some other updates."""
    other = dataclasses.replace(policy, model=copy.deepcopy(policy.model))
    generator = torch.Generator().manual_seed(seed)
    for parameter in other.model.parameters():
        parameter.data += 0.03 * parameter.abs().mean() * torch.randn(parameter.shape, generator=generator)
    return other


class Plain:
    """The log-probabilities of the written paths in fp64, from the models' own forward, under policy, reference and old policy."""

    def __init__(self, policy: Policy, reference: Policy, old: Policy) -> None:
        self.model = copy.deepcopy(policy.model).double()
        self.parameters = list(self.model.parameters())
        groups = groups_of(policy, dials({}))
        self.paths: list[list[tuple[Tensor, list[float], list[float]]]] = []
        for group in groups:
            ours = [logprobs_of(policy, self.model, group, rollout) for rollout in group.rollouts]
            others = [
                [logprobs_of(policy, copy.deepcopy(other.model).double(), group, rollout).tolist() for rollout in group.rollouts]
                for other in (reference, old)
            ]
            self.paths.append(list(zip(ours, *others, strict=True)))

    def update(self, settings: StepGRPO, *, later: bool) -> tuple[float, Tensor]:
        """The loss as it is written down, token by token, and its gradient."""
        num_paths = sum(map(len, self.paths))
        num_tokens = sum(len(ours) for group in self.paths for ours, _, _ in group)
        loss = torch.zeros((), dtype=torch.float64)
        for group, written in zip(self.paths, GROUPS, strict=True):
            for (ours, theirs, before), advantages in zip(group, plain_advantages(written, settings), strict=True):
                total = torch.zeros((), dtype=torch.float64)
                for token, advantage in enumerate(advantages):
                    ratio = torch.exp(ours[token] - (before[token] if later else ours[token].detach()))
                    objective = ratio * advantage
                    if later:
                        objective = torch.minimum(objective, ratio.clamp(0.9, 1.15) * advantage)
                    apart = theirs[token] - ours[token]
                    weight = ratio if settings.kl == "weighted_k3" else 1.0
                    total = total + settings.beta * weight * (torch.exp(apart) - apart - 1) - objective
                divisor = {"path": num_paths * len(advantages), "token": num_tokens, "constant": num_paths * 120}
                loss = loss + total / divisor[settings.loss_mean]
        gradients = torch.autograd.grad(loss, self.parameters, retain_graph=True)
        return float(loss.detach()), torch.cat([gradient.flatten() for gradient in gradients])


def logprobs_of(policy: Policy, model: Any, group: Group, rollout: Rollout) -> Tensor:
    """Log-probabilities (C,) of a path in fp64 at temperature 1.2."""
    prompt, path = group.prompt, torch.tensor(rollout.token_ids)
    logits = model(
        input_ids=torch.cat([prompt.input_ids, path])[None],
        mm_token_type_ids=torch.cat([prompt.mm_token_type_ids, torch.zeros_like(path)])[None],
        pixel_values=prompt.pixel_values.double(),
        image_grid_thw=prompt.image_grid_thw,
    ).logits[0, len(prompt) - 1 : -1]
    logits = logits.index_fill(-1, torch.tensor(policy.forbidden_token_ids), -1e300)
    return torch.log_softmax(logits / 1.2, -1).gather(-1, path[:, None])[:, 0]


def plain_advantages(paths: tuple[Written, ...], settings: StepGRPO) -> list[list[float]]:
    """An advantage for every token of every path, from the paths as they were written down."""
    to_go = [[ALPHA * path.answered * sum(path.found[step:]) / 2 for step in range(4)] for path in paths]
    if settings.credit == "step":
        base = compared([path.correct + (path.valid if settings.reward == "both" else 0) for path in paths], settings.advantage)
        steps = []
        for step in range(4):
            lacking = [i for i, path in enumerate(paths) if sum(path.found[:step]) < 2]
            steps.append(dict(zip(lacking, compared([to_go[i][step] for i in lacking], settings.advantage), strict=True)))
        return [[base[i] + steps[part].get(i, 0.0) for part in part_of_each_token(path)] for i, path in enumerate(paths)]
    parts = {
        "outcome": [path.correct for path in paths],
        "step_rvr": [path.valid for path in paths],
        "step_rar": [path.correct + earned[0] for path, earned in zip(paths, to_go, strict=True)],
    }
    parts["both"] = [rar + rvr for rar, rvr in zip(parts["step_rar"], parts["step_rvr"], strict=True)]
    base = compared(parts[settings.reward], settings.advantage)
    return [[base[i]] * len(part_of_each_token(path)) for i, path in enumerate(paths)]


def compared(values: list[float], advantage: str) -> list[float]:
    mean = sum(values) / len(values)
    if advantage == "rloo":
        return [value - (sum(values) - value) / (len(values) - 1) for value in values]
    std = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return [(value - mean) / ((std + 1e-4) if advantage == "grpo" else 1) for value in values]


@pytest.fixture(scope="module")
def policies() -> tuple[Policy, Policy, Policy]:
    """Policy, reference, and the policy before the first update."""
    policy = ending_policy(by=1.0)
    return policy, ending_policy(seed=1, by=1.0), moved(policy, seed=2)


@pytest.fixture(scope="module")
def plain(policies: tuple[Policy, Policy, Policy]) -> Plain:
    return Plain(*policies)


def ours(policies: tuple[Policy, Policy, Policy], combination: dict[str, Any], *, later: bool, **changes: Any) -> tuple[Sums, Tensor]:
    policy, reference, old = policies
    settings = dials(combination)
    groups = changes.pop("groups", None) or groups_of(policy, settings)
    others = {"reference": reference if settings.beta else None, "old": old if later else None, "all_groups": settings.beta > 0}
    return update_of(policy, groups, settings, **{"token_budget": 700, **others, **changes})


@pytest.mark.parametrize("combination", COMBINATIONS, ids=named)
def test_an_update_equals_a_plain_loop_in_double_precision(
    policies: tuple[Policy, Policy, Policy], plain: Plain, combination: dict[str, Any]
) -> None:
    for later in (False, True):
        sums, gradient = ours(policies, combination, later=later)
        loss, expected = plain.update(dials(combination), later=later)
        assert sums.loss == pytest.approx(loss, abs=1e-5)
        assert float((gradient.double() - expected).norm() / expected.norm()) < 1e-5
        assert (sums.num_clipped_low > 0 and sums.num_clipped_high > 0) == later


@pytest.mark.parametrize("combination", SOME, ids=named)
def test_an_update_does_not_depend_on_the_split_the_order_or_the_forward(
    policies: tuple[Policy, Policy, Policy], combination: dict[str, Any]
) -> None:
    groups = groups_of(policies[0], dials(combination))
    expected = ours(policies, combination, later=True, groups=groups, token_budget=10_000)
    for changes in (
        {"token_budget": 1},
        {"groups": groups[::-1], "token_budget": 300},
        {"groups": [backwards(group) for group in groups], "token_budget": 250},
        {"score": score_dense, "token_budget": 400},
    ):
        assert_same(ours(policies, combination, later=True, **{"groups": groups, **changes}), expected)


def assert_same(found: tuple[Sums, Tensor], expected: tuple[Sums, Tensor]) -> None:
    # The gap between two computations of the same numbers is rounding itself.
    ours, theirs = (dataclasses.astuple(dataclasses.replace(sums, gap=0.0)) for sums, _ in (found, expected))
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)
    assert float((found[1] - expected[1]).norm() / expected[1].norm()) < 1e-5


def test_later_updates_are_measured_against_the_policy_before_the_first() -> None:
    changes: dict[str, Any] = {"num_steps": 1, "num_updates": 3, "clip_low": 0.1, "clip_high": 0.1, "group_size": 4, "beta": 0.0}
    trained, (report,) = run(None, **changes)
    policy, old = ending_policy(), ending_policy()
    settings = SETTINGS.model_copy(update=changes)
    drawn = draw(4, 0, 3, seed=5)
    prompts = [some_prompts(policy, 4)[question] for question in drawn]
    seeds = [(5, 0, place) for place in range(3)]
    rollouts = generate(policy, prompts, num_samples=4, temperature=1.2, max_new_tokens=10, seeds=seeds)
    groups = judged_groups(policy, drawn, prompts, rollouts, a_reward, settings)
    optimizer = adamw(policy.model, settings.learning_rate, settings.weight_decay)
    updates = []
    for before in (None, old, old):
        sums, _ = update_of(policy, groups, settings, token_budget=2048, all_groups=False, old=before)
        update(policy.model, optimizer, settings.learning_rate, settings.max_grad_norm)
        updates.append(sums)
    first, *later = updates
    assert weights(policy) == weights(trained)
    assert report.metrics["loss"] == first.loss
    assert report.metrics["clip_low"] == sum(sums.num_clipped_low for sums in later) / (2 * first.num_tokens) > 0
    assert report.metrics["clip_high"] == sum(sums.num_clipped_high for sums in later) / (2 * first.num_tokens) > 0


@pytest.mark.parametrize("loss_mean", ["path", "token", "constant"])
@pytest.mark.parametrize("mask_truncated", [False, True])
def test_kl_is_in_nats_a_token_whatever_weighs_the_loss(loss_mean: str, mask_truncated: bool) -> None:
    """`stepgrpo.max_kl` is held against it: longer room for paths, or paths left out, must not make it small."""
    policy, reference = ending_policy(), ending_policy(seed=1)
    groups = some_groups(policy, mask_truncated=mask_truncated)
    settings = SETTINGS.model_copy(update={"loss_mean": loss_mean, "max_new_tokens": 500})
    sums, _ = update_of(policy, groups, settings, reference=reference)
    by_path = []
    for group in groups:
        for rollout, kept in zip(group.rollouts, group.in_loss, strict=True):
            paths = [group.prompt], [[torch.tensor(rollout.token_ids)]]
            with torch.no_grad():
                ours, theirs = (score_dense(one, *paths, settings.temperature).logprobs.double() for one in (policy, reference))
            by_path += [(theirs - ours).exp() - (theirs - ours) - 1] if kept else []
    assert len(by_path) < 12 if mask_truncated else len(by_path) == 12
    wanted = sum(path.mean() for path in by_path) / len(by_path) if loss_mean == "path" else torch.cat(by_path).mean()
    assert means([sums])["kl"] == pytest.approx(float(wanted), rel=1e-5)
