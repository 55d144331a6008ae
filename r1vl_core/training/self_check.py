"""Does a model keep the promises that training stands on? Asked once a run, before its first step.

The shared-prefix forward and decoding with shared prompts are exact for a model that attends by mask and positions alone. A checkpoint of
a known type may still break that (a patched attention, a sliding window, positions of its own), and nothing would fail: the run would
train on wrong log-probabilities. So one real question of the run, its paths sampled on the spot, is scored in both ways.

A model of another type shares nothing, but what it draws with must still be what its dense forward says, or it cannot be trained at all.

What is decided stands in the run's notes, which its checkpoints hold: a resumed run goes on in the same way. Later in the run
`logprob_gap`, the mean difference between a token's log-probability when drawn and when trained, shows the same at every step.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from r1vl_core.config import StepGRPO
from r1vl_core.policy.logprobs import autocast, score_dense, score_shared
from r1vl_core.policy.model import Policy, Prompt
from r1vl_core.policy.room import Room, generate_in_room
from r1vl_core.policy.shared_prefix import SUPPORTED
from r1vl_core.training.backward import Score
from r1vl_core.training.processes import any_process, is_first
from r1vl_core.training.work import Forward

TOLERANCES = {torch.float32: 1e-3, torch.float16: 0.03, torch.bfloat16: 0.15}
"""Nats a token, by the arithmetic of the forward: rounding stays well below, and a wrong mask or position well above."""

MAX_PATHS, MAX_TOKENS = 4, 96
"""Paths sampled for the check, and tokens of each, at most: more than a cache's first room, less than a step would notice."""

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Ways:
    """How a run scores, and whether it decodes with shared prompts.

    >>> Ways(score_dense, shared_decode=False).shared_decode
    False
    """

    score: Score
    shared_decode: bool


def checked_ways(
    notes: dict[str, Any],
    policy: Policy,
    get_prompt: Callable[[], Prompt],
    score: Score,
    room: Room,
    settings: StepGRPO,
    *,
    seed: int,
    accelerator: Any,
) -> Ways:
    """What `notes` say was decided; when they say nothing yet, check, decide, say so in them and, if need be, in a warning.

    `score` is the forward that the settings ask for. Takes no number from any random state. Raises ValueError for a model of a type that is
    not known to share prompts and whose decoding and dense forward do not agree either.
    """
    if "dense_forward" not in notes:
        policy.model.eval()
        asked, num_samples, num_tokens = get_prompt(), min(settings.group_size, MAX_PATHS), min(settings.max_new_tokens, MAX_TOKENS)
        sampling: dict[str, Any] = {"num_samples": num_samples, "max_new_tokens": num_tokens, "temperature": settings.temperature}
        rollouts = generate_in_room(room, policy, [asked], seeds=[(seed,)], **sampling)
        paths = [asked], [[torch.tensor(rollout.token_ids) for rollout in rollouts]]
        drawn = torch.tensor([value for rollout in rollouts for value in rollout.logprobs])
        dense = Forward(policy, score_dense, room).logprobs(paths, settings.temperature).cpu()
        is_known = policy.model.config.model_type in SUPPORTED
        differences = {"shared_decode" if is_known else "decode": worst(drawn - dense, paths[1][0])}
        if score is score_shared:
            shared = Forward(policy, score_shared, room).logprobs(paths, settings.temperature).cpu()
            differences["shared_forward"] = worst(shared - dense, paths[1][0])
        _decide(notes, differences, policy, accelerator)
    return Ways(score_dense if notes["dense_forward"] else score, shared_decode=not notes["growing_decode"])


def worst(differences: Tensor, paths: Sequence[Tensor]) -> float:
    """The largest over paths of the mean absolute difference (nats a token) of a path's tokens; `differences` (N,) run over all paths."""
    return max(float(part.abs().mean()) for part in differences.double().split(list(map(len, paths))))


def arithmetic(policy: Policy) -> torch.dtype:
    """What the policy's forward computes in."""
    with autocast(policy):
        if torch.is_autocast_enabled(policy.device.type):
            return torch.get_autocast_dtype(policy.device.type)
    return next(policy.model.parameters()).dtype


def _decide(notes: dict[str, Any], differences: dict[str, float], policy: Policy, accelerator: Any) -> None:
    # Not "above": a difference that is no number is no agreement either.
    dtype = arithmetic(policy)
    broken = {name: not found <= TOLERANCES[dtype] for name, found in differences.items()}
    broken = {name: any_process(value, accelerator) for name, value in broken.items()}
    where, limit = policy.model.config.model_type, f"{TOLERANCES[dtype]:g} in {str(dtype).removeprefix('torch.')}"
    if broken.get("decode"):
        raise ValueError(
            f"this {where} draws tokens with log-probabilities {differences['decode']:.3g} nats a token beside those of its forward "
            f"(tolerance {limit}): what would be trained is not what was rewarded; use a model of a type we know: {', '.join(SUPPORTED)}"
        )
    notes["dense_forward"], notes["growing_decode"] = broken.get("shared_forward", False), broken.get("shared_decode", True)
    if not is_first(accelerator):
        return
    if notes["dense_forward"]:
        logger.warning(
            "the shared-prefix forward of this %s differs from the dense one by %.3g nats a token (tolerance %s): going on with the "
            "dense one",
            *(where, differences["shared_forward"], limit),
        )
    if broken.get("shared_decode"):
        logger.warning(
            "this %s decodes with shared prompts %.3g nats a token beside its dense forward (tolerance %s): going on with a "
            "prompt in every row; logprob_gap shows whether that agrees",
            *(where, differences["shared_decode"], limit),
        )
