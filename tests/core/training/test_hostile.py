"""What must never lead to a wrong update, and must say so: hostile rewards, hostile policies, a full disk."""

from __future__ import annotations

import dataclasses
import math
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from r1vl_core.policy.model import Policy
from r1vl_core.policy.rollout import generate
from r1vl_core.report import Report
from r1vl_core.training.checkpoint import append_report, read_reports
from r1vl_core.training.export import export
from r1vl_core.training.time_limit import TimeLimitExceeded, time_limit
from tests.core.tiny_policies import favour, some_prompts
from tests.core.training.test_checkpoint import room_for
from tests.core.training.tiny_runs import a_reward, ending_policy, run, same_reward, untimed, weights


class After:
    """A reward that is `a_reward` for some calls and hostile from then on."""

    def __init__(self, num_good: int, hostile: Callable[[int, str], Any]) -> None:
        self.num_left, self.hostile = num_good, hostile

    def __call__(self, question: int, text: str) -> Any:
        self.num_left -= 1
        return (a_reward if self.num_left >= 0 else self.hostile)(question, text)


def sleeps(question: int, text: str) -> Any:
    try:
        threading.Event().wait(200)
    except Exception:  # noqa: BLE001  a reward that hides its own errors
        return same_reward(question, text)


def counts_otherwise(question: int, text: str) -> Any:
    return dataclasses.replace(same_reward(question, text), missed=tuple(range(len(text))))


def with_part(**parts: Any) -> Callable[[int, str], Any]:
    return lambda question, text: dataclasses.replace(same_reward(question, text), **parts)


HOSTILE: dict[str, tuple[Callable[[int, str], Any], str]] = {
    "sleeps": (sleeps, r"its reward took longer than 2 s \(stepgrpo.reward_limit_s\)"),
    "raises": (lambda question, text: 1 / 0, "its reward raised ZeroDivisionError"),
    "nan": (with_part(step_rvr=math.nan), "a reward is not a finite number: .*nan"),
    "inf": (with_part(step_rar=math.inf), "a reward is not a finite number: .*inf"),
    "text": (with_part(k="1"), "a reward is not a finite number: .*'1'"),
    "nothing": (with_part(step_rar=None), "a reward is not a finite number: .*None"),
    "a number": (lambda question, text: 1.0, "its reward is a float, not a Reward"),
    "too many": (lambda question, text: [same_reward(question, text)] * 2, "its reward is a list, not a Reward"),
    "none": (lambda question, text: None, "its reward is a NoneType, not a Reward"),
    "other key steps": (counts_otherwise, "its rewards count .* key steps; they must agree"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_reward_ends_the_run_before_it_does_harm(tmp_path: Path, name: str) -> None:
    hostile, said = HOSTILE[name]
    whole, reports = run(tmp_path / "whole")
    with pytest.raises((RuntimeError, ValueError), match=r"question q\d: " + said):
        run(tmp_path / "hostile", judge=After(30, hostile), reward_limit_s=2.0)
    # What is left is the state of step 2, and it goes on as if nothing had happened.
    resumed, rest = run(tmp_path / "hostile")
    assert [report.step for report in rest] == [3, 4]
    assert weights(resumed) == weights(whole)
    assert [untimed(report) for report in read_reports(tmp_path / "hostile")] == [untimed(report) for report in reports]


def test_a_time_limit_interrupts_a_regular_expression_and_leaves_other_timers_alone() -> None:
    import re

    handler, (before, _) = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    with pytest.raises(TimeLimitExceeded), time_limit(0.1):
        re.match(r"(a+)+b", "a" * 64)
    assert signal.getsignal(signal.SIGALRM) is handler
    after, _ = signal.getitimer(signal.ITIMER_REAL)
    assert (0 < after < before) if before else after == 0


def test_off_the_main_thread_there_is_no_limit() -> None:
    entered = []

    def body() -> None:
        with time_limit(1e-6):
            entered.append(signal.getitimer(signal.ITIMER_REAL))

    before = signal.getitimer(signal.ITIMER_REAL)[0]
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert (entered[0][0] > 0) == (before > 0)


def forced(*, token: str) -> Policy:
    """A policy whose logits want one token, by far, at every place."""
    policy = ending_policy()
    token_id = {"placeholder": policy.model.config.image_token_id, "video": policy.model.config.video_token_id, "letter": 80}.get(token)
    favour(policy, policy.end_token_ids[0] if token_id is None else token_id, by=1e4)
    return policy


@pytest.mark.parametrize("token", ["placeholder", "video", "end", "letter"])
def test_a_policy_forced_to_one_token_trains_on_and_is_shown(tmp_path: Path, token: str) -> None:
    policy, reports = run(tmp_path, make=lambda: forced(token=token), num_steps=2)
    assert all(bool(parameter.isfinite().all()) for parameter in policy.model.parameters())
    for report in reports:
        assert all(map(math.isfinite, report.metrics.values()))
        if token == "end":
            assert report.metrics["mean_tokens"] == 1
            assert report.metrics["truncated"] == 0
        if token == "letter":
            assert report.metrics["truncated"] == report.metrics["zero_variance"] == 1
            assert report.metrics["mean_tokens"] == 10
        if token in ("placeholder", "video"):
            assert report.metrics["logprob_gap"] < 1e-4
            assert report.metrics["entropy"] > 0.1, "the other tokens are drawn as if the placeholder were not there"


def test_a_disk_that_fills_up_in_a_run_ends_it_and_loses_no_checkpoint(tmp_path: Path) -> None:
    whole, reports = run(tmp_path / "whole")
    run(tmp_path / "full", 3)
    # Room for the reports, not for weights.
    with room_for(60_000), pytest.raises(OSError, match=r"cannot write checkpoint .*step-000004: .*; make room and run again"):
        run(tmp_path / "full")
    assert sorted(path.name for path in (tmp_path / "full").iterdir()) == ["reports.jsonl", "step-000002"]
    resumed, rest = run(tmp_path / "full")
    assert [report.step for report in rest] == [3, 4]
    assert weights(resumed) == weights(whole)
    assert [untimed(report) for report in read_reports(tmp_path / "full")] == [untimed(report) for report in reports]


def test_a_report_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "reports.jsonl").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"cannot write .*reports.jsonl: .*No space left.*; make room"):
        append_report(tmp_path, Report(1, 2, {"loss": 0.1}))


@pytest.mark.parametrize("settings", [{}, {"beta": 0.0}])
def test_a_policy_of_no_numbers_ends_the_run_with_its_question(settings: dict[str, Any]) -> None:
    def broken() -> Policy:
        policy = ending_policy()
        policy.model.lm_head.weight.data[9] = math.nan
        return policy

    with pytest.raises(FloatingPointError, match=r"question q\d: the policy's log-probabilities are not finite numbers"):
        run(None, make=broken, **settings)
    with pytest.raises(FloatingPointError, match=r"question q\d: the policy"):
        generate(broken(), some_prompts(broken()), max_new_tokens=4)


def test_a_disk_that_is_full_when_the_policy_is_written_says_where(tmp_path: Path) -> None:
    with room_for(1000), pytest.raises(OSError, match=r"cannot write the policy to .*/policy: .*; make room and run again"):
        export(ending_policy(), tmp_path / "policy")
