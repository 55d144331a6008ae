"""How well a policy in training answers questions that it is not trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from r1vl_core.config import StepGRPO
from r1vl_core.policy.model import Policy, Prompt
from r1vl_core.policy.room import Room, generate_in_room
from r1vl_core.policy.sharding import whole
from r1vl_core.training.groups import Judge, judged
from r1vl_core.training.processes import my_share, sum_over_processes

_WINDOW = 64
"""Questions encoded and answered together."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Questions set aside: `get_prompt(i)` encodes the i-th of `num_questions`, `judge(i, text)` rewards a response to it.

    >>> Validation.__slots__
    ('get_prompt', 'judge', 'num_questions')
    """

    get_prompt: Callable[[int], Prompt]
    judge: Judge
    num_questions: int


def accuracy(policy: Policy, validation: Validation, settings: StepGRPO, room: Room, accelerator: Any, *, shared_decode: bool) -> float:
    """Share of the questions answered right, decoded greedily as in evaluation; the processes share them. Changes no random state."""
    policy.model.eval()
    mine = my_share(range(validation.num_questions), accelerator)
    num_right = 0
    with whole(policy.model):  # each process answers as many windows as its share has
        for start in range(0, len(mine), _WINDOW):
            numbers = mine[start : start + _WINDOW]
            prompts = [validation.get_prompt(number) for number in numbers]
            rollouts = generate_in_room(room, policy, prompts, max_new_tokens=settings.max_new_tokens, shared=shared_decode)
            for number, rollout in zip(numbers, rollouts, strict=True):
                text = policy.decode(rollout.token_ids)
                num_right += judged(validation.judge, number, rollout.question_id, text, settings.reward_limit_s).verdict == "correct"
    return sum_over_processes([float(num_right)], accelerator)[0] / validation.num_questions


def note_accuracy(notes: dict[str, Any], step: int, found: float) -> None:
    """Remember the step with the best accuracy so far, the earliest of equals.

    >>> notes = {}
    >>> for step, found in enumerate([0.5, 0.7, 0.7], start=1):
    ...     note_accuracy(notes, step, found)
    >>> notes
    {'best_step': 2, 'best_accuracy': 0.7}
    """
    if "best_step" not in notes or found > notes["best_accuracy"]:
        notes["best_step"], notes["best_accuracy"] = step, found
