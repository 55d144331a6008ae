"""What a path is paid: which part of its reward a preset trains on."""

from __future__ import annotations

from collections.abc import Callable

from r1vl_core.config import StepGRPO
from r1vl_core.reasoning.rewards import Reward


def paid(reward: Reward, settings: StepGRPO) -> float:
    """What the preset pays for a path."""
    return REWARDS[settings.reward](reward)


def paid_beside_key_steps(reward: Reward, settings: StepGRPO) -> float:
    """What the preset pays for a path, key steps left out."""
    return _BESIDE_KEY_STEPS[settings.reward](reward)


def worth_of_a_key_step(reward: Reward, alpha: float) -> float:
    """What one matched key step adds to StepRAR (paper, equation 2)."""
    num_key_steps = len(reward.matched) + len(reward.missed)
    return alpha / num_key_steps if num_key_steps and reward.verdict != "absent" else 0.0


def outcome(reward: Reward) -> float:
    """1 for a right answer, else 0."""
    return float(reward.verdict == "correct")


def step_rar(reward: Reward) -> float:
    """StepRAR alone (paper, equation 2)."""
    return reward.step_rar


def step_rvr(reward: Reward) -> float:
    """StepRVR alone (paper, equation 3)."""
    return reward.step_rvr


def both(reward: Reward) -> float:
    """StepRAR + StepRVR."""
    return reward.total


def outcome_and_step_rvr(reward: Reward) -> float:
    """`both` without key steps."""
    return outcome(reward) + reward.step_rvr


REWARDS: dict[str, Callable[[Reward], float]] = {"outcome": outcome, "step_rar": step_rar, "step_rvr": step_rvr, "both": both}
"""By the setting `stepgrpo.reward`."""

_BESIDE_KEY_STEPS: dict[str, Callable[[Reward], float]] = {"step_rar": outcome, "both": outcome_and_step_rvr}
