"""The groups of one step: prompts, sampled paths, rewards, advantages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from r1vl_core.policy.model import Prompt
from r1vl_core.policy.rollout import Rollout
from r1vl_core.reasoning.rewards import Reward


@dataclass(frozen=True, slots=True)
class Group:
    """The M paths sampled for one question, with what each earned and its advantage.

    >>> Group.__slots__
    ('prompt', 'rollouts', 'texts', 'rewards', 'advantages')
    """

    prompt: Prompt
    rollouts: tuple[Rollout, ...]
    texts: tuple[str, ...]
    rewards: tuple[Reward, ...]
    advantages: tuple[float, ...]

    @property
    def teaches(self) -> bool:
        """Whether any advantage is not zero."""
        return any(self.advantages)

    def samples(self, step: int) -> list[dict[str, Any]]:
        """One plain row a path for the run's record."""
        paths = zip(self.rollouts, self.texts, self.rewards, self.advantages, strict=True)
        return [_sample(step, *path) for path in paths]


def _sample(step: int, rollout: Rollout, text: str, reward: Reward, advantage: float) -> dict[str, Any]:
    return {
        "step": step,
        "question_id": rollout.question_id,
        "text": text,
        "step_rar": reward.step_rar,
        "step_rvr": reward.step_rvr,
        "k": reward.k,
        "advantage": advantage,
        "verdict": str(reward.verdict),
        "rule": reward.rule,
        "answer": reward.answer,
        "marks": [{"key_step": found.index, "start": found.start, "end": found.end, "form": found.form} for found in reward.matched],
        "missed": list(reward.missed),
        "defects": [str(reason) for reason in (*reward.defects, *reward.objections)],
        "num_tokens": len(rollout.token_ids),
        "truncated": rollout.truncated,
    }
