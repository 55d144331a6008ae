"""Evaluation while training, the best policy kept by it, and runs that are ended before they do harm."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing
from accelerate import Accelerator

from r1vl_core.config import StepGRPO
from r1vl_core.policy.model import Policy
from r1vl_core.policy.rollout import generate
from r1vl_core.reasoning.rewards import Reward
from r1vl_core.training.checkpoint import read_reports
from r1vl_core.training.stopping import OUTCOME, note_step
from r1vl_core.training.validation import Validation
from tests.core.tiny_policies import some_prompts, tiny_policy
from tests.core.training.tiny_runs import SETTINGS, a_reward, ending_policy, run, same_reward, untimed, weights
from tests.core.training.two_processes import in_two_processes


def by_length(question: int, text: str) -> Reward:
    """Right are responses of an odd number of bytes: what that comes to changes as the policy does."""
    reward = same_reward(question, text)
    return dataclasses.replace(reward, verdict="correct" if len(text.encode()) % 2 else "wrong")


def aside() -> Validation:
    return Validation(some_prompts(tiny_policy(), 5).__getitem__, by_length, 5)


EVALUATED: dict[str, Any] = {"eval_every": 1, "num_steps": 6, "save_every": 4, "learning_rate": 2e-2}


def accuracies(reports: list[Any]) -> list[float]:
    return [report.metrics["validation_accuracy"] for report in reports]


def test_evaluating_is_greedy_decoding_and_changes_nothing() -> None:
    plain, without = run(None, num_steps=3)
    policy, reports = run(None, num_steps=3, eval_every=2, validation=aside())
    assert weights(policy) == weights(plain)
    assert [report.step for report in reports if "validation_accuracy" in report.metrics] == [2, 3]
    rollouts = generate(policy, some_prompts(policy, 5), max_new_tokens=SETTINGS.max_new_tokens)
    right = [by_length(0, policy.decode(rollout.token_ids)).verdict == "correct" for rollout in rollouts]
    assert reports[-1].metrics.pop("validation_accuracy") == sum(right) / 5
    reports[1].metrics.pop("validation_accuracy")
    assert [untimed(report) for report in reports] == [untimed(report) for report in without]


def test_the_best_policy_is_kept_and_handed_on(tmp_path: Path) -> None:
    policy, reports = run(tmp_path / "best", validation=aside(), keep="best", keep_checkpoints=1, **EVALUATED)
    best = max(accuracies(reports))
    step = accuracies(reports).index(best) + 1
    assert reports[0].metrics["start_accuracy"] < best
    assert step < 6, "a case in which the last is not the best"
    assert (tmp_path / "best" / f"step-{step:06d}").is_dir()
    at_that_step, _ = run(tmp_path / "other", step, validation=aside(), **EVALUATED)
    assert weights(policy) == weights(at_that_step)
    outcome = json.loads((tmp_path / "best" / OUTCOME).read_text())
    assert outcome == {"policy_step": step, "validation_accuracy": best, "stopped_early": None}
    last, others = run(tmp_path / "last", validation=aside(), **EVALUATED)
    assert accuracies(others) == accuracies(reports)
    assert weights(last) != weights(policy)
    assert not (tmp_path / "last" / OUTCOME).exists()


def test_where_no_step_is_better_the_policy_of_the_start_is_handed_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options: dict[str, Any] = {"keep": "best", **EVALUATED, "learning_rate": 1e-9, "save_every": 2}
    policy, reports = run(tmp_path / "best", validation=aside(), keep_checkpoints=1, **options)
    assert accuracies(reports) == [reports[0].metrics["start_accuracy"]] * 6
    assert weights(policy) == weights(ending_policy())
    assert json.loads((tmp_path / "best" / OUTCOME).read_text())["policy_step"] == 0
    assert "no step's policy was right on more of the validation questions than the one training began with" in caplog.text


@pytest.mark.parametrize("stop_after", [1, 3, 5, 6])
def test_a_run_that_keeps_the_best_resumes_to_the_same(tmp_path: Path, stop_after: int) -> None:
    options = {"validation": aside(), "keep": "best", **EVALUATED}
    whole, reports = run(tmp_path / "whole", **options)
    run(tmp_path / "cut", stop_after, **options)
    resumed, _ = run(tmp_path / "cut", **options)
    assert weights(resumed) == weights(whole)
    assert [untimed(report) for report in read_reports(tmp_path / "cut")] == [untimed(report) for report in reports]
    assert (tmp_path / "cut" / OUTCOME).read_text() == (tmp_path / "whole" / OUTCOME).read_text()


DRIFTING: dict[str, Any] = {"num_steps": 8, "learning_rate": 3e-2, "stop_window": 2}


def test_a_policy_that_drifts_off_is_stopped_and_the_last_good_one_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, free = run(None, **DRIFTING)
    kls = [report.metrics["kl"] for report in free]
    ceiling = (kls[2] + kls[3]) / 2
    means = [sum(kls[at - 1 : at + 1]) / 2 for at in range(1, 8)]
    stop = next(at for at, mean in enumerate(means, start=2) if mean > ceiling)
    dials = {**DRIFTING, "max_kl": ceiling, "save_every": 1, "keep_checkpoints": 1}
    caplog.clear()
    policy, reports = run(tmp_path / "run", **dials)
    assert [report.metrics["kl"] for report in reports] == kls[:stop]
    outcome = json.loads((tmp_path / "run" / OUTCOME).read_text())
    good = max(step for step in range(stop) if kls[step] <= ceiling)
    assert outcome["policy_step"] == good < stop
    assert outcome["stopped_early"].startswith(f"step {stop}: a KL of ")
    (said,) = [record.getMessage() for record in caplog.records if "stopped early" in record.getMessage()]
    assert f"the policy of step {good} is handed on" in said
    at_that_step, _ = run(tmp_path / "other", good, **{**DRIFTING, "save_every": 1})
    assert weights(policy) == weights(at_that_step)
    again, more = run(tmp_path / "run", **dials)
    assert not more
    assert weights(again) == weights(policy)
    assert len(list(read_reports(tmp_path / "run"))) == stop


def test_a_run_that_collapses_at_once_hands_on_what_it_started_from(tmp_path: Path) -> None:
    policy, reports = run(tmp_path, judge=same_reward, min_reward=1.5, stop_window=3)
    assert len(reports) == 3
    assert weights(policy) == weights(ending_policy())
    outcome = json.loads((tmp_path / OUTCOME).read_text())
    assert outcome["policy_step"] == 0
    assert "a reward of 0.9, below stepgrpo.min_reward 1.5, over the last 3 steps" in outcome["stopped_early"]


@pytest.mark.parametrize("stop_after", [2, 4])
def test_a_run_that_is_stopped_early_resumes_to_the_same(tmp_path: Path, stop_after: int) -> None:
    dials = {**DRIFTING, "max_kl": 0.02, "save_every": 3}
    whole, reports = run(tmp_path / "whole", **dials)
    assert len(reports) < 8
    run(tmp_path / "cut", stop_after, **dials)
    resumed, _ = run(tmp_path / "cut", **dials)
    assert weights(resumed) == weights(whole)
    assert [untimed(report) for report in read_reports(tmp_path / "cut")] == [untimed(report) for report in reports]
    assert (tmp_path / "cut" / OUTCOME).read_text() == (tmp_path / "whole" / OUTCOME).read_text()


def test_within_its_limits_a_run_is_what_it_is_without(tmp_path: Path) -> None:
    plain, _ = run(tmp_path / "plain")
    policy, reports = run(tmp_path / "limits", max_kl=100.0, min_reward=1e-9, stop_window=1)
    assert len(reports) == 4
    assert weights(policy) == weights(plain)
    assert not (tmp_path / "limits" / OUTCOME).exists()


def test_what_is_no_number_is_within_no_limit() -> None:
    notes: dict[str, Any] = {}
    note_step(notes, 1, {"kl": float("nan"), "reward": 1.0}, StepGRPO(max_kl=1.0, stop_window=1))
    assert "a KL of nan" in notes["stopped_early"]


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"keep": "best"}, "set eval_every"),
        ({"max_kl": 1.0, "beta": 0.0}, "needs a reference"),
        ({"eval_every": 2}, "needs validation questions"),
        ({"min_reward": 0.5}, "needs a work_dir"),
        ({"min_reward": 2.2}, r"min_reward 2\.2 would end every run: a path earns 2\.1 at most"),
    ],
)
def test_dials_that_lack_what_they_need_are_refused(dials: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        run(None, **dials)


def save_shared(folder: Path, accelerator: Accelerator) -> None:
    policy, reports = run_shared(folder, accelerator)
    torch.save([policy.model.state_dict(), accuracies(reports)], folder / f"{accelerator.process_index}.pt")


def run_shared(folder: Path, accelerator: Any) -> tuple[Policy, list[Any]]:
    dials: dict[str, Any] = {"num_steps": 3, "learning_rate": 5e-5, "eval_every": 1, "keep": "best", "max_kl": 1.0, "min_reward": 0.9}
    return run(folder / "run", judge=a_reward, validation=aside(), accelerator=accelerator, stop_window=2, **dials)


def test_two_processes_share_the_questions_and_hand_on_the_same(tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    together.mkdir()
    expected, reports = run_shared(alone, None)
    in_two_processes(save_shared, together)
    (first, mine), (second, theirs) = (torch.load(together / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert mine == theirs == accuracies(reports)
    for name, weight in expected.model.state_dict().items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], weight, atol=1e-6, rtol=0)
    assert (together / "run" / OUTCOME).read_text() == (alone / "run" / OUTCOME).read_text()
