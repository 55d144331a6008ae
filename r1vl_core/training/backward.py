"""The gradient of one StepGRPO step, micro-batch by micro-batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from r1vl_core.config import StepGRPO
from r1vl_core.policy.logprobs import TokenScores, score_dense, score_shared
from r1vl_core.policy.model import Policy, Prompt
from r1vl_core.policy.room import GradientSpoiled
from r1vl_core.policy.shared_prefix import SUPPORTED
from r1vl_core.training.groups import Group
from r1vl_core.training.losses import (
    LOSS_MEANS,
    MAX_LOG_RATIO,
    StepSize,
    Weigh,
    clipped_policy_gradient,
    count_clipped,
    k3,
    policy_gradient,
    weighted_k3,
)

Score = Callable[[Policy, Sequence[Prompt], Sequence[Sequence[Tensor]], float], TokenScores]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Some paths of some groups: `completions` are by prompt, the others run over all their N tokens in that order.

    >>> MicroBatch.__slots__
    ('prompts', 'completions', 'advantages', 'weights', 'sampled_logprobs')
    """

    prompts: list[Prompt]
    completions: list[list[Tensor]]
    advantages: Tensor
    weights: Tensor
    sampled_logprobs: Tensor


@dataclass(frozen=True, slots=True)
class Sums:
    """What an update's micro-batches add up to. `loss` and `kl` are weighted as in the loss, `weight` is the sum of those weights; the
    others are plain sums over tokens.

    >>> (Sums(loss=1.0) + Sums(loss=0.5, num_tokens=3.0)).loss
    1.5
    """

    loss: float = 0.0
    kl: float = 0.0
    weight: float = 0.0
    entropy: float = 0.0
    gap: float = 0.0
    num_clamped: float = 0.0
    num_clipped_low: float = 0.0
    num_clipped_high: float = 0.0
    num_tokens: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


def choose_forward(policy: Policy, name: str) -> Score:
    """The scoring function for the setting `forward`; a model the shared forward does not know gets the dense one and a warning."""
    if name == "dense":
        return score_dense
    if policy.model.config.model_type in SUPPORTED:
        return score_shared
    logger.warning("the shared-prefix forward does not know this %s: going on with the dense one", policy.model.config.model_type)
    return score_dense


def cut(
    groups: Sequence[Group],
    device: torch.device,
    *,
    size: StepSize,
    loss_mean: str,
    token_budget: int,
    shared: bool,
    all_groups: bool,
) -> list[MicroBatch]:
    """Cut the groups of a step into micro-batches. `size` counts all processes; what is left out of the loss still counts in it.

    Unless `all_groups`, groups that teach nothing are left out before any forward.
    """
    groups = [group for group in groups if group.is_trained(all_groups=all_groups)]
    kept = [[path for path, in_loss in enumerate(group.in_loss) if in_loss] for group in groups]
    lengths = [[len(group.rollouts[path].token_ids) for path in paths] for group, paths in zip(groups, kept, strict=True)]
    tables = fill([len(group.prompt) for group in groups], lengths, token_budget, shared=shared)
    weigh = LOSS_MEANS[loss_mean]
    return [
        _micro_batch([(groups[i], [kept[i][place] for place in places]) for i, places in table.items()], weigh, size, device)
        for table in tables
    ]


def add_gradient(
    policy: Policy, batch: MicroBatch, reference_logprobs: Tensor | None, old_logprobs: Tensor | None, *, score: Score, settings: StepGRPO
) -> tuple[Sums, Tensor]:
    """Add the gradient of a micro-batch's part of the loss to the policy's parameters; its sums, and its log-probabilities (N,).

    `old_logprobs` (N,) are those before the first update from these paths, None in the first; `reference_logprobs` (N,) may be None when
    there is no penalty. Raises GradientSpoiled, with the whole gradient cleared, when memory runs out in the backward pass.
    """
    scores = score(policy, batch.prompts, batch.completions, settings.temperature)
    logprobs = scores.logprobs.detach()
    kl = num_clamped = clipped_low = clipped_high = logprobs.new_zeros(())
    if old_logprobs is None:
        per_token = policy_gradient(scores.logprobs, batch.advantages)
    else:
        clips = (settings.clip_low, settings.clip_high)
        per_token = clipped_policy_gradient(scores.logprobs, old_logprobs, batch.advantages, *clips)
        clipped_low, clipped_high = count_clipped(logprobs, old_logprobs, batch.advantages, *clips)
    if reference_logprobs is not None:
        if settings.kl == "k3":
            divergence = k3(scores.logprobs, reference_logprobs)
        else:
            divergence = weighted_k3(scores.logprobs, logprobs if old_logprobs is None else old_logprobs, reference_logprobs)
        per_token = per_token + settings.beta * divergence
        kl = (divergence.detach() * batch.weights).sum()
        num_clamped = ((reference_logprobs - logprobs).abs() > MAX_LOG_RATIO).sum()
    loss = (per_token * batch.weights).sum()
    try:
        loss.backward()
    except torch.OutOfMemoryError as error:  # some parameters have this batch's gradient by now and some have not
        policy.model.zero_grad(set_to_none=True)
        raise GradientSpoiled(str(error)) from None
    gap = (logprobs - batch.sampled_logprobs).abs().sum()
    weight = batch.weights.double().sum()
    found = (loss.detach(), kl, weight, scores.entropies.sum(), gap, num_clamped, clipped_low, clipped_high)
    # One wait for a GPU, when the backward pass has been handed to it.
    read = torch.stack([value.double() for value in found]).tolist()
    return Sums(*[*read, float(len(logprobs))]), logprobs


def weightless(policy: Policy, prompt: Prompt) -> MicroBatch:
    """One path of one token that has no part in the loss: its gradient is exactly 0."""
    nothing = torch.zeros(1, device=policy.device)
    return MicroBatch([prompt], [[torch.tensor([policy.end_token_ids[0]])]], nothing, nothing, nothing)


def fill(
    prompt_lengths: Sequence[int], path_lengths: Sequence[Sequence[int]], token_budget: int, *, shared: bool
) -> list[dict[int, list[int]]]:
    """Fill micro-batches of at most `token_budget` tokens, each a table from question to the paths of its group in it.

    With `shared` a prompt counts once for each micro-batch it is in, else once for each path. A group too large for the budget is
    spread over several; a single path larger than the budget stands alone.

    >>> fill([4, 4], [[3, 3], [3]], token_budget=12, shared=True)
    [{0: [0, 1]}, {1: [0]}]
    >>> fill([4, 4], [[3, 3], [3]], token_budget=7, shared=False)
    [{0: [0]}, {0: [1]}, {1: [0]}]
    """
    batches: list[dict[int, list[int]]] = []
    used = 0
    for question, lengths in enumerate(path_lengths):
        for path, length in enumerate(lengths):
            is_new = not batches or question not in batches[-1] or not shared
            cost = length + prompt_lengths[question] * is_new
            if not batches or used + cost > token_budget:
                batches.append({})
                used, cost = 0, length + prompt_lengths[question]
            batches[-1].setdefault(question, []).append(path)
            used += cost
    return batches


def _micro_batch(chosen: Sequence[tuple[Group, list[int]]], weigh: Weigh, size: StepSize, device: torch.device) -> MicroBatch:
    rollouts = [group.rollouts[path] for group, paths in chosen for path in paths]
    advantages = [advantage for group, paths in chosen for path in paths for advantage in group.credit.tokens[path]]
    return MicroBatch(
        [group.prompt for group, _ in chosen],
        [[torch.tensor(group.rollouts[path].token_ids) for path in paths] for group, paths in chosen],
        torch.tensor(advantages).to(device),
        weigh([len(rollout.token_ids) for rollout in rollouts], size).to(device),
        torch.tensor([value for rollout in rollouts for value in rollout.logprobs]).to(device),
    )
