"""The StepGRPO loss, token by token (paper, equation 5), and its kin. N tokens of many paths, every tensor (N,)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MAX_LOG_RATIO = 10.0
"""Beyond it exp(log-ratio) of the KL estimate would drown every other gradient."""


def policy_gradient(logprobs: Tensor, advantages: Tensor) -> Tensor:
    """-(pi / stop_gradient(pi)) * A: its value is -A, its gradient that of -A * log pi. The first update from a group, where the policy
    still is the one that sampled it, so nothing is clipped."""
    return -torch.exp(logprobs - logprobs.detach()) * advantages


def clipped_policy_gradient(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, clip_low: float, clip_high: float) -> Tensor:
    """-min(ratio * A, clip(ratio, 1 - clip_low, 1 + clip_high) * A), ratio = pi / pi before the first update (PPO, arXiv 1707.06347,
    equation 7). The log-ratio is clamped to +-MAX_LOG_RATIO first, so that a ratio cannot overflow.

    >>> clipped_policy_gradient(torch.log(torch.tensor([3.0, 3.0])), torch.zeros(2), torch.tensor([1.0, -1.0]), 0.2, 0.2).tolist()
    [-1.2000000476837158, 3.0]
    """
    ratio = torch.exp((logprobs - old_logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO))
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip_low, 1 + clip_high) * advantages)


def count_clipped(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, clip_low: float, clip_high: float) -> tuple[Tensor, Tensor]:
    """How many tokens have no gradient because of `clip_low` and of `clip_high`, each ().

    >>> count_clipped(torch.log(torch.tensor([3.0, 3.0, 0.1])), torch.zeros(3), torch.tensor([1.0, -1.0, -1.0]), 0.2, 0.2)
    (tensor(1), tensor(1))
    """
    ratio = torch.exp(logprobs - old_logprobs)
    low = (ratio < 1 - clip_low) & (advantages < 0)
    high = (ratio > 1 + clip_high) & (advantages > 0)
    return low.sum(), high.sum()


def k3(logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """The estimator ref/pi - log(ref/pi) - 1 of KL(pi || ref), never negative; the log-ratio is clamped to +-MAX_LOG_RATIO.

    >>> k3(torch.zeros(1), torch.zeros(1)).item()
    0.0
    """
    log_ratio = (reference_logprobs - logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    return torch.exp(log_ratio) - log_ratio - 1


def weighted_k3(logprobs: Tensor, old_logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """k3 times pi / pi of the policy that sampled, whose gradient is that of KL(pi || ref) without bias (DeepSeek-V3.2, arXiv 2512.02556).

    Where the policy still is the one that sampled, the value is that of k3 and the gradient another. The log-ratio is clamped.

    >>> weighted_k3(torch.zeros(1), torch.zeros(1), torch.ones(1)).item() == k3(torch.zeros(1), torch.ones(1)).item()
    True
    """
    ratio = torch.exp((logprobs - old_logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO))
    return ratio * k3(logprobs, reference_logprobs)


@dataclass(frozen=True, slots=True)
class StepSize:
    """What a whole step counts, over all micro-batches and processes: its paths, their tokens, and how long a path may be (tokens).

    >>> StepSize(num_paths=2, num_tokens=3, max_tokens=8).num_tokens
    3
    """

    num_paths: int
    num_tokens: int
    max_tokens: int


def path_mean(lengths: Sequence[int], size: StepSize) -> Tensor:
    """Weights of a mean over each path's tokens, then over paths (paper's code).

    Like the other two: the weights (N,) of the tokens of some paths with `lengths`, so that weighted sums of parts of a step add up to its
    loss; `size` counts the whole step, also what is left out of the loss, so that leaving out never weighs the others more.

    >>> path_mean([1, 2], StepSize(num_paths=2, num_tokens=3, max_tokens=8)).tolist()
    [0.5, 0.25, 0.25]
    """
    return _spread([1.0 / (size.num_paths * length) if length else 0.0 for length in lengths], lengths)


def token_mean(lengths: Sequence[int], size: StepSize) -> Tensor:
    """Weights of a mean over all tokens of the step: a long path counts for more (DAPO, arXiv 2503.14476, equation 8).

    >>> token_mean([1, 3], StepSize(num_paths=2, num_tokens=4, max_tokens=8)).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    return _spread([1.0 / max(1, size.num_tokens)] * len(lengths), lengths)


def constant_mean(lengths: Sequence[int], size: StepSize) -> Tensor:
    """Weights of a sum over each path's tokens divided by a constant, then a mean over paths: length has no say (Dr. GRPO, section 3.2).

    >>> constant_mean([1, 2], StepSize(num_paths=2, num_tokens=3, max_tokens=8)).tolist()
    [0.0625, 0.0625, 0.0625]
    """
    return _spread([1.0 / (size.num_paths * size.max_tokens)] * len(lengths), lengths)


def _spread(weights: Sequence[float], lengths: Sequence[int]) -> Tensor:
    return torch.tensor(weights, dtype=torch.float64).repeat_interleave(torch.tensor(lengths, dtype=torch.int64)).float()


Weigh = Callable[[Sequence[int], StepSize], Tensor]
LOSS_MEANS: dict[str, Weigh] = {"path": path_mean, "token": token_mean, "constant": constant_mean}
"""By the setting `stepgrpo.loss_mean`."""
