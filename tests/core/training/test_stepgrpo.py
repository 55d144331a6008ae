"""StepGRPO: the update equals a plain loop in fp64, depends on nothing it should not, and resumes to the bit."""

from __future__ import annotations

import dataclasses
import math
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing
from torch import Tensor

from r1vl_core.config import StepGRPO
from r1vl_core.policy.logprobs import score_dense, score_shared
from r1vl_core.policy.model import Policy
from r1vl_core.policy.rollout import generate
from r1vl_core.reasoning.rewards import Reward
from r1vl_core.training.backward import Sums, add_gradient, choose_forward, cut, fill
from r1vl_core.training.checkpoint import read_reports
from r1vl_core.training.groups import Group
from r1vl_core.training.stepgrpo import judged_groups, train
from tests.core.tiny_policies import favour, some_prompts, tiny_policy

SETTINGS = StepGRPO(
    num_steps=4, questions_per_step=3, group_size=3, temperature=1.2, max_new_tokens=10, learning_rate=1e-2, beta=0.04, save_every=2
)


def a_reward(question: int, text: str) -> Reward:
    """Something that differs from text to text."""
    k = (len(text.encode()) + question) % 4 / 4
    right = len(text) % 2 == 0
    return Reward(right + 0.1 * k, float(len(text) % 3 == 0), k, (), (), "correct" if right else "wrong", "number", text[-1:] or None, ())


def same_reward(question: int, text: str) -> Reward:
    return Reward(0.9, 0.0, 0.0, (), (), "wrong", "number", None, ())


def ending_policy(seed: int = 0) -> Policy:
    policy = tiny_policy(seed=seed)
    favour(policy, policy.end_token_ids[0], by=4.0)
    return policy


def some_groups(policy: Policy, num_questions: int = 3, group_size: int = 4) -> list[Group]:
    prompts = some_prompts(policy, num_questions)
    seeds = [(1, index) for index in range(num_questions)]
    rollouts = generate(policy, prompts, num_samples=group_size, temperature=1.2, max_new_tokens=12, seeds=seeds)
    return judged_groups(policy, range(num_questions), prompts, rollouts, group_size, a_reward)


def update_of(policy: Policy, reference: Policy | None, groups: list[Group], **changes: Any) -> tuple[Sums, Tensor]:
    """Loss and gradient of one step over these groups."""
    choices = {"token_budget": 300, "score": score_shared, "mask_truncated": False, "beta": 0.04, "all_groups": True, **changes}
    policy.model.zero_grad()
    score, beta, sums = choices["score"], choices["beta"], Sums()
    num_paths = sum(len(group.rollouts) for group in groups)
    for batch in cut(
        groups,
        policy.device,
        num_paths=num_paths,
        token_budget=choices["token_budget"],
        shared=score is score_shared,
        all_groups=choices["all_groups"],
        mask_truncated=choices["mask_truncated"],
    ):
        with torch.no_grad():
            known = score(reference, batch.prompts, batch.completions, 1.2).logprobs if reference else None
        sums += add_gradient(policy, batch, known, score=score, temperature=1.2, beta=beta)
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in policy.model.parameters()]
    return sums, torch.cat([part.flatten() for part in parts])


def assert_same(found: tuple[Sums, Tensor], expected: tuple[Sums, Tensor]) -> None:
    # The gap between two computations of the same numbers is rounding itself.
    ours, theirs = (dataclasses.astuple(dataclasses.replace(sums, gap=0.0)) for sums, _ in (found, expected))
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)
    assert float((found[1] - expected[1]).norm() / expected[1].norm()) < 1e-5


def plain_update(policy: Policy, reference: Policy, groups: list[Group], beta: float) -> tuple[float, Tensor]:
    """The paper's loss in fp64, one path at a time, from the model's own forward."""
    policy.model.double()
    reference.model.double()
    policy.model.zero_grad()
    losses = []
    for group in groups:
        prompt, rewards = group.prompt, [reward.total for reward in group.rewards]
        mean = sum(rewards) / len(rewards)
        std = math.sqrt(sum((reward - mean) ** 2 for reward in rewards) / (len(rewards) - 1))
        for rollout, reward in zip(group.rollouts, rewards, strict=True):
            advantage = 0.0 if std == 0 else (reward - mean) / (std + 1e-4)
            path = torch.tensor(rollout.token_ids)
            scores = []
            for model in (policy.model, reference.model):
                logits = model(
                    input_ids=torch.cat([prompt.input_ids, path])[None],
                    mm_token_type_ids=torch.cat([prompt.mm_token_type_ids, torch.zeros_like(path)])[None],
                    pixel_values=prompt.pixel_values.double(),
                    image_grid_thw=prompt.image_grid_thw,
                ).logits[0, len(prompt) - 1 : -1]
                logits = logits.index_fill(-1, torch.tensor(policy.forbidden_token_ids), -1e300)
                scores.append(torch.log_softmax(logits / 1.2, -1).gather(-1, path[:, None])[:, 0])
            ours, theirs = scores[0], scores[1].detach()
            total = torch.zeros((), dtype=torch.float64)
            for token in range(len(path)):
                ratio = torch.exp(ours[token] - ours[token].detach())
                kl = torch.exp(theirs[token] - ours[token]) - (theirs[token] - ours[token]) - 1
                total = total - ratio * advantage + beta * kl
            losses.append(total / len(path))
    loss = sum(losses) / len(losses)
    loss.backward()
    gradient = torch.cat([parameter.grad.flatten() for parameter in policy.model.parameters()])
    return float(loss.detach()), gradient


def test_update_equals_a_plain_loop_in_double_precision() -> None:
    policy, reference = ending_policy(), ending_policy(seed=1)
    groups = some_groups(policy)
    assert len({len(rollout.token_ids) for group in groups for rollout in group.rollouts}) > 2
    sums, gradient = update_of(policy, reference, groups, beta=0.3)
    loss, expected = plain_update(policy, reference, groups, beta=0.3)
    assert sums.loss == pytest.approx(loss, abs=1e-5)
    assert float((gradient.double() - expected).norm() / expected.norm()) < 1e-5


def test_update_does_not_depend_on_the_split_the_order_or_the_forward() -> None:
    policy, reference = ending_policy(), ending_policy(seed=1)
    groups = some_groups(policy)
    expected = update_of(policy, reference, groups, token_budget=10_000)
    assert_same(update_of(policy, reference, groups, token_budget=1), expected)
    assert_same(update_of(policy, reference, groups[::-1], token_budget=120), expected)
    assert_same(update_of(policy, reference, [_reversed(group) for group in groups], token_budget=150), expected)
    assert_same(update_of(policy, reference, groups, score=score_dense, token_budget=150), expected)


def _reversed(group: Group) -> Group:
    return Group(group.prompt, group.rollouts[::-1], group.texts[::-1], group.rewards[::-1], group.advantages[::-1])


def test_leaving_out_what_teaches_nothing_changes_nothing() -> None:
    policy = ending_policy()
    groups = some_groups(policy)
    groups[1] = dataclasses.replace(groups[1], advantages=(0.0,) * 4)
    (_, all_of_them), (sums, left_out) = (update_of(policy, None, groups, beta=0.0, all_groups=every) for every in (True, False))
    torch.testing.assert_close(left_out, all_of_them)
    assert sums.num_tokens == sum(len(rollout.token_ids) for group in (groups[0], groups[2]) for rollout in group.rollouts)


def test_masked_truncated_paths_have_no_gradient_and_do_not_weigh_the_others_more() -> None:
    policy = ending_policy()
    groups = some_groups(policy)
    cut_off = [[rollout.truncated for rollout in group.rollouts] for group in groups]
    assert 0 < sum(map(sum, cut_off)) < 12
    _, masked = update_of(policy, None, groups, beta=0.0, mask_truncated=True)
    zeroed = [
        dataclasses.replace(
            group, advantages=tuple(0.0 if r.truncated else a for r, a in zip(group.rollouts, group.advantages, strict=True))
        )
        for group in groups
    ]
    _, expected = update_of(policy, None, zeroed, beta=0.0)
    torch.testing.assert_close(masked, expected)


def test_a_group_larger_than_the_budget_is_spread_and_none_is_lost() -> None:
    tables = fill([50, 20, 20], [[30, 30, 30], [200], [5, 5]], 100, shared=True)
    assert tables == [{0: [0]}, {0: [1]}, {0: [2]}, {1: [0]}, {2: [0, 1]}]


def run(folder: Path | None, num_reports: int = 99, **changes: Any) -> tuple[Policy, list[Any]]:
    policy, reference = ending_policy(), ending_policy()
    prompts = some_prompts(policy, 4)
    settings = SETTINGS.model_copy(update=changes)
    reports = train(policy, reference, prompts.__getitem__, a_reward, num_questions=4, settings=settings, seed=5, work_dir=folder)
    taken = [report for _, report in zip(range(num_reports), reports, strict=False)]
    reports.close()
    return policy, taken


def weights(policy: Policy) -> list[bytes]:
    return [parameter.detach().numpy().tobytes() for parameter in policy.model.parameters()]


def untimed(report: Any) -> tuple[Any, ...]:
    return report.step, {name: value for name, value in report.metrics.items() if "second" not in name}, report.samples


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_run_cut_off_and_resumed_equals_one_that_was_not(tmp_path: Path, stop_after: int) -> None:
    whole, reports = run(tmp_path / "whole")
    run(tmp_path / "cut", stop_after)
    resumed, rest = run(tmp_path / "cut")
    assert len(rest) == 4 - stop_after // 2 * 2
    assert weights(resumed) == weights(whole)
    assert [untimed(report) for report in read_reports(tmp_path / "cut")] == [untimed(report) for report in reports]


def run_in_child(folder: Path, told: Connection) -> None:
    torch.set_num_threads(1)
    policy, reference = ending_policy(), ending_policy()
    prompts = some_prompts(policy, 4)
    options: dict[str, Any] = {"num_questions": 4, "settings": SETTINGS, "seed": 5, "work_dir": folder}
    for report in train(policy, reference, prompts.__getitem__, a_reward, **options):
        told.send(report.step)


def test_a_run_killed_and_resumed_equals_one_that_was_not(tmp_path: Path) -> None:
    whole, reports = run(tmp_path / "whole")
    context = torch.multiprocessing.get_context("spawn")
    told, telling = context.Pipe(duplex=False)
    child = context.Process(target=run_in_child, args=(tmp_path / "cut", telling))
    child.start()
    while told.recv() < 3:
        pass
    child.kill()
    child.join()
    resumed, _ = run(tmp_path / "cut")
    assert weights(resumed) == weights(whole)
    assert [untimed(report) for report in read_reports(tmp_path / "cut")] == [untimed(report) for report in reports]


def test_reports_hold_what_happened() -> None:
    _, reports = run(None)
    assert [report.step for report in reports] == [1, 2, 3, 4]
    first = reports[0]
    assert len(first.samples) == 9
    assert first.metrics["kl"] == pytest.approx(0.0, abs=1e-6)
    assert first.metrics["logprob_gap"] < 1e-5
    assert reports[-1].metrics["kl"] > 1e-4
    assert [report.metrics["learning_rate"] for report in reports] == pytest.approx([1e-2, 0.75e-2, 0.5e-2, 0.25e-2])
    for report in reports:
        rewards = [sample["step_rar"] + sample["step_rvr"] for sample in report.samples]
        assert report.metrics["reward"] == pytest.approx(sum(rewards) / 9)
        for at in range(0, 9, 3):
            assert len({sample["question_id"] for sample in report.samples[at : at + 3]}) == 1
    assert {"text", "advantage", "marks", "missed", "verdict", "num_tokens", "truncated"} < first.samples[0].keys()


def test_without_kl_and_with_equal_rewards_nothing_moves() -> None:
    policy = ending_policy()
    before = weights(policy)
    prompts = some_prompts(policy, 4)
    settings = SETTINGS.model_copy(update={"beta": 0.0, "num_steps": 1})
    (report,) = train(policy, None, prompts.__getitem__, same_reward, num_questions=4, settings=settings, seed=5)
    assert weights(policy) == before
    assert report.metrics["zero_variance"] == 1.0
    assert report.metrics["trained_tokens"] == 0.0


def test_training_raises_the_reward() -> None:
    policy = ending_policy()
    prompts = some_prompts(policy, 4)
    settings = SETTINGS.model_copy(update={"num_steps": 12, "group_size": 6, "questions_per_step": 4, "learning_rate": 2e-2, "beta": 0.0})

    def short_is_good(question: int, text: str) -> Reward:
        return dataclasses.replace(same_reward(question, text), step_rar=1.0 / (1 + len(text)))

    reports = list(train(policy, None, prompts.__getitem__, short_is_good, num_questions=4, settings=settings, seed=0))
    assert reports[-1].metrics["reward"] > 1.5 * reports[0].metrics["reward"]


def test_a_reward_that_is_no_number_is_refused() -> None:
    policy = ending_policy()
    prompts = some_prompts(policy, 4)

    def broken(question: int, text: str) -> Reward:
        return dataclasses.replace(same_reward(question, text), step_rvr=math.nan)

    with pytest.raises(ValueError, match=r"question q\d: a reward is not a finite number"):
        next(train(policy, None, prompts.__getitem__, broken, num_questions=4, settings=SETTINGS.model_copy(update={"beta": 0.0}), seed=5))


def test_a_penalty_without_a_reference_is_refused() -> None:
    policy = ending_policy()
    with pytest.raises(ValueError, match="needs a reference policy"):
        next(train(policy, None, [].__getitem__, a_reward, num_questions=1, settings=SETTINGS, seed=0))


def test_a_model_the_shared_forward_does_not_know_gets_the_dense_one() -> None:
    policy = ending_policy()
    policy.model.config.model_type = "another_vl"
    with pytest.warns(UserWarning, match="does not know another_vl"):
        assert choose_forward(policy, "shared") is score_dense
