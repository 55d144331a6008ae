"""StepGRPO: the update depends on nothing it should not, runs resume to the bit, and what goes wrong is said."""

from __future__ import annotations

import dataclasses
import math
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing

from r1vl_core.policy.logprobs import score_dense
from r1vl_core.reasoning.rewards import Reward
from r1vl_core.training.backward import choose_forward, fill
from r1vl_core.training.checkpoint import read_reports
from r1vl_core.training.credit import Credit
from r1vl_core.training.stepgrpo import train
from tests.core.tiny_policies import some_prompts
from tests.core.training.tiny_runs import (
    SETTINGS,
    a_reward,
    ending_policy,
    run,
    same_reward,
    some_groups,
    sometimes_the_same,
    untimed,
    update_of,
    weights,
)

NO_PENALTY = SETTINGS.model_copy(update={"beta": 0.0})
TO_RESUME: dict[str, dict[str, Any]] = {
    "paper": {},
    "refill": {"refill_rounds": 2, "num_updates": 2, "judge": sometimes_the_same, "loss_mean": "token", "advantage": "rloo"},
}


def test_leaving_out_what_teaches_nothing_changes_nothing() -> None:
    policy = ending_policy()
    groups = some_groups(policy)
    still = Credit((0.0,) * 4, ((),) * 4, tuple((0.0,) * len(rollout.token_ids) for rollout in groups[1].rollouts))
    groups[1] = dataclasses.replace(groups[1], credit=still)
    (_, all_of_them), (sums, left_out) = (update_of(policy, groups, NO_PENALTY, all_groups=every) for every in (True, False))
    torch.testing.assert_close(left_out, all_of_them)
    assert sums.num_tokens == groups[0].num_tokens + groups[2].num_tokens


@pytest.mark.parametrize("loss_mean", ["path", "token", "constant"])
def test_masked_truncated_paths_have_no_gradient_and_do_not_weigh_the_others_more(loss_mean: str) -> None:
    policy = ending_policy()
    settings = NO_PENALTY.model_copy(update={"loss_mean": loss_mean})
    groups = some_groups(policy)
    cut_off = [[rollout.truncated for rollout in group.rollouts] for group in groups]
    assert 0 < sum(map(sum, cut_off)) < 12
    _, masked = update_of(policy, some_groups(policy, mask_truncated=True), settings)
    zeroed = []
    for group in groups:
        rows = zip(group.rollouts, group.credit.tokens, strict=True)
        tokens = tuple((0.0,) * len(advantages) if rollout.truncated else advantages for rollout, advantages in rows)
        zeroed.append(dataclasses.replace(group, credit=dataclasses.replace(group.credit, tokens=tokens)))
    _, expected = update_of(policy, zeroed, settings)
    torch.testing.assert_close(masked, expected)


def test_a_group_larger_than_the_budget_is_spread_and_none_is_lost() -> None:
    tables = fill([50, 20, 20], [[30, 30, 30], [200], [5, 5]], 100, shared=True)
    assert tables == [{0: [0]}, {0: [1]}, {0: [2]}, {1: [0]}, {2: [0, 1]}]


@pytest.mark.parametrize("methods", TO_RESUME)
@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_run_cut_off_and_resumed_equals_one_that_was_not(tmp_path: Path, stop_after: int, methods: str) -> None:
    whole, reports = run(tmp_path / "whole", **TO_RESUME[methods])
    run(tmp_path / "cut", stop_after, **TO_RESUME[methods])
    resumed, rest = run(tmp_path / "cut", **TO_RESUME[methods])
    assert len(rest) == 4 - stop_after // 2 * 2
    assert weights(resumed) == weights(whole)
    assert [untimed(report) for report in read_reports(tmp_path / "cut")] == [untimed(report) for report in reports]


def run_in_child(folder: Path, methods: str, num_judged: int, parent: Connection) -> None:
    torch.set_num_threads(1)
    changes = dict(TO_RESUME[methods])
    judge, judged = changes.pop("judge", a_reward), []

    def stopping(question: int, text: str) -> Reward:
        judged.append(text)
        if len(judged) == num_judged:
            parent.send("here")
            parent.recv()  # which never comes
        return judge(question, text)

    run(folder, judge=stopping, **changes)


@pytest.mark.parametrize(("methods", "num_judged"), [("paper", 28), ("refill", 50)])
def test_a_run_killed_amid_a_step_and_resumed_equals_one_that_was_not(tmp_path: Path, methods: str, num_judged: int) -> None:
    whole, reports = run(tmp_path / "whole", **TO_RESUME[methods])
    context = torch.multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    child = context.Process(target=run_in_child, args=(tmp_path / "cut", methods, num_judged, theirs))
    child.start()
    mine.recv()
    child.kill()
    child.join()
    resumed, rest = run(tmp_path / "cut", **TO_RESUME[methods])
    assert len(rest) == 2
    assert weights(resumed) == weights(whole)
    assert [untimed(report) for report in read_reports(tmp_path / "cut")] == [untimed(report) for report in reports]


def test_the_seed_and_not_the_process_decides_the_random_state(tmp_path: Path) -> None:
    """torch gives every process another one; a run killed before its first checkpoint would go on with whatever the next one has."""
    states = []
    for folder, given in ((tmp_path / "one", 1), (tmp_path / "other", 2)):
        torch.manual_seed(given)
        run(folder, 2)
        states.append(torch.load(folder / "step-000002" / "state.pt", weights_only=True)["random"]["cpu"])
    assert torch.equal(*states)


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


class Broken:
    """A reward that stops working after some calls: it raises, or gives no number."""

    def __init__(self, num_good: int, *, raises: bool) -> None:
        self.num_left, self.raises = num_good, raises

    def __call__(self, question: int, text: str) -> Reward:
        self.num_left -= 1
        if self.num_left >= 0:
            return a_reward(question, text)
        return Reward(1 / 0, 0.0, 0.0, (), (), "wrong", "number", None, ()) if self.raises else broken_reward(question, text)


def broken_reward(question: int, text: str) -> Reward:
    return dataclasses.replace(same_reward(question, text), step_rvr=math.nan)


@pytest.mark.parametrize("raises", [True, False])
def test_a_reward_that_breaks_names_the_question_and_leaves_the_checkpoint_whole(tmp_path: Path, raises: bool) -> None:
    whole, reports = run(tmp_path / "whole")
    said = r"question q\d: its reward raised ZeroDivisionError" if raises else r"question q\d: a reward is not a finite number: .*nan"
    with pytest.raises(RuntimeError if raises else ValueError, match=said):
        run(tmp_path / "broken", judge=Broken(30, raises=raises))
    resumed, rest = run(tmp_path / "broken")
    assert [report.step for report in rest] == [3, 4]
    assert weights(resumed) == weights(whole)
    assert [untimed(report) for report in read_reports(tmp_path / "broken")] == [untimed(report) for report in reports]


@pytest.mark.parametrize("mask_truncated", [False, True])
@pytest.mark.parametrize("loss_mean", ["path", "token", "constant"])
@pytest.mark.parametrize("beta", [0.0, 0.04])
@pytest.mark.parametrize("by", [1e4, -1e4], ids=["ends at once", "never ends"])
def test_a_policy_that_ends_at_once_or_never_does_no_harm(by: float, beta: float, loss_mean: str, mask_truncated: bool) -> None:
    dials = {"num_steps": 2, "num_updates": 2, "refill_rounds": 1, "beta": beta, "loss_mean": loss_mean, "mask_truncated": mask_truncated}
    policy, reports = run(None, make=lambda: ending_policy(by=by), **dials)
    for report in reports:
        assert all(map(math.isfinite, report.metrics.values()))
        assert report.metrics["truncated"] == (by < 0)
        assert report.metrics["mean_tokens"] == (1 if by > 0 else 10)
        if by < 0 and mask_truncated:
            assert report.metrics["trained_tokens"] == report.metrics["loss"] == report.metrics["grad_norm"] == 0
            assert report.metrics["groups_skipped"] == report.metrics["groups_sampled"] == 6
    assert all(bool(parameter.isfinite().all()) for parameter in policy.model.parameters())
    if by < 0 and mask_truncated:
        assert weights(policy) == weights(ending_policy(by=by))


def test_a_penalty_without_a_reference_is_refused() -> None:
    policy = ending_policy()
    with pytest.raises(ValueError, match="needs a reference policy"):
        next(train(policy, None, [].__getitem__, a_reward, num_questions=1, settings=SETTINGS, seed=0))


def test_a_model_the_shared_forward_does_not_know_gets_the_dense_one(caplog: pytest.LogCaptureFixture) -> None:
    policy = ending_policy()
    policy.model.config.model_type = "another_vl"
    assert choose_forward(policy, "shared") is score_dense
    assert "does not know this another_vl: going on with the dense one" in caplog.text
