"""The groups of one step: prompts, sampled paths, rewards, advantages."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from r1vl_core.config import StepGRPO
from r1vl_core.policy.model import Policy, Prompt
from r1vl_core.policy.rollout import Rollout
from r1vl_core.reasoning.rewards import Reward
from r1vl_core.training.credit import CREDITS, Credit
from r1vl_core.training.pay import paid
from r1vl_core.training.time_limit import TimeLimitExceeded, time_limit

Judge = Callable[[int, str], Reward]
"""The reward of a response to the question of that number."""


class RewardFailed(RuntimeError):
    """A judge raised or took too long; the message names the question and holds the response."""


@dataclass(frozen=True, slots=True)
class Group:
    """The M paths sampled for one question, with the reward of each, what the preset paid for it, and its advantages.

    `in_loss` says which paths are trained on: all, or those that are not truncated.

    >>> Group.__slots__
    ('prompt', 'rollouts', 'texts', 'rewards', 'pay', 'credit', 'in_loss')
    """

    prompt: Prompt
    rollouts: tuple[Rollout, ...]
    texts: tuple[str, ...]
    rewards: tuple[Reward, ...]
    pay: tuple[float, ...]
    credit: Credit
    in_loss: tuple[bool, ...]

    @property
    def teaches(self) -> bool:
        """Whether any token in the loss has an advantage that is not zero."""
        return any(any(advantages) for advantages, kept in zip(self.credit.tokens, self.in_loss, strict=True) if kept)

    def is_trained(self, *, all_groups: bool) -> bool:
        """Whether it takes part in the update: it teaches, or `all_groups` do, because a reference holds the policy near it."""
        return self.teaches or (all_groups and any(self.in_loss))

    @property
    def num_tokens(self) -> int:
        """Tokens of all its paths, those outside the loss included."""
        return sum(len(rollout.token_ids) for rollout in self.rollouts)

    def samples(self, step: int, place: int) -> list[dict[str, Any]]:
        """One plain row a path for the run's record; `place` is the group's in its step."""
        rows = zip(self.rollouts, self.texts, self.rewards, self.pay, self.credit.paths, self.credit.steps, strict=True)
        return [{"step": step, "place": place, "path": path, **_sample(*row)} for path, row in enumerate(rows)]


def judged_groups(
    policy: Policy, questions: Sequence[int], prompts: Sequence[Prompt], rollouts: Sequence[Rollout], judge: Judge, settings: StepGRPO
) -> list[Group]:
    """Reward every rollout, M of them for each question in turn, and give each group its advantages.

    Raises ValueError for a reward that is no `Reward` of finite numbers or counts other key steps than the rest of its group,
    RewardFailed for a judge that raised or took longer than `settings.reward_limit_s`; all name the question.
    """
    size = settings.group_size
    groups = []
    for place, (question, prompt) in enumerate(zip(questions, prompts, strict=True)):
        group = tuple(rollouts[place * size : (place + 1) * size])
        assert len(group) == size, "a group lacks rollouts"
        assert all(rollout.question_id == prompt.question_id for rollout in group), "a group holds another question's rollouts"
        texts = tuple(policy.decode(rollout.token_ids) for rollout in group)
        rewards = tuple(judged(judge, question, prompt.question_id, text, settings.reward_limit_s) for text in texts)
        num_key_steps = {len(reward.matched) + len(reward.missed) for reward in rewards}
        if len(num_key_steps) > 1:
            raise ValueError(f"question {prompt.question_id}: its rewards count {sorted(num_key_steps)} key steps; they must agree")
        pay = tuple(paid(reward, settings) for reward in rewards)
        credit = CREDITS[settings.credit](policy, group, texts, rewards, settings)
        in_loss = tuple(not (settings.mask_truncated and rollout.truncated) for rollout in group)
        groups.append(Group(prompt, group, texts, rewards, pay, credit, in_loss))
    return groups


def judged(judge: Judge, question: int, question_id: str, text: str, limit_s: float) -> Reward:
    """The reward of one response, held to what a reward must be; see `judged_groups`."""
    where = f"question {question_id}"
    try:
        with time_limit(limit_s):
            reward = judge(question, text)
    except TimeLimitExceeded:
        raise RewardFailed(
            f"{where}: its reward took longer than {limit_s:g} s (stepgrpo.reward_limit_s); the response was {text!r}"
        ) from None
    except Exception as error:  # whatever it was: the run ends, and says on which question
        raise RewardFailed(f"{where}: its reward raised {type(error).__name__}: {error}; the response was {text!r}") from error
    if not isinstance(reward, Reward):
        raise ValueError(f"{where}: its reward is a {type(reward).__name__}, not a Reward; the response was {text!r}")
    parts = {"step_rar": reward.step_rar, "step_rvr": reward.step_rvr, "k": reward.k}
    if not all(isinstance(part, int | float) and math.isfinite(part) for part in parts.values()):
        raise ValueError(f"{where}: a reward is not a finite number: {parts}; the response was {text!r}")
    return reward


def _sample(rollout: Rollout, text: str, reward: Reward, pay: float, advantage: float, step_advantages: Sequence[float]) -> dict[str, Any]:
    return {
        "question_id": rollout.question_id,
        "text": text,
        "token_ids": list(rollout.token_ids),
        "step_rar": reward.step_rar,
        "step_rvr": reward.step_rvr,
        "k": reward.k,
        "paid": pay,
        "advantage": advantage,
        "step_advantages": list(step_advantages),
        "verdict": str(reward.verdict),
        "rule": reward.rule,
        "answer": reward.answer,
        "marks": [{"key_step": found.index, "start": found.start, "end": found.end, "form": found.form} for found in reward.matched],
        "missed": list(reward.missed),
        "defects": [str(reason) for reason in (*reward.defects, *reward.objections)],
        "num_tokens": len(rollout.token_ids),
        "truncated": rollout.truncated,
    }
