"""The StepGRPO loss, token by token (paper, equation 5). N tokens of many paths; every function returns (N,)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

MAX_LOG_RATIO = 10.0
"""Beyond it exp(log-ratio) of the KL estimate would drown every other gradient."""


def policy_gradient(logprobs: Tensor, advantages: Tensor) -> Tensor:
    """-(pi / stop_gradient(pi)) * A: its value is -A, its gradient that of -A * log pi. One update a group, so nothing is clipped."""
    return -torch.exp(logprobs - logprobs.detach()) * advantages


def k3(logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """The estimator ref/pi - log(ref/pi) - 1 of KL(pi || ref), never negative; the log-ratio is clamped to +-MAX_LOG_RATIO.

    >>> k3(torch.zeros(1), torch.zeros(1)).item()
    0.0
    """
    log_ratio = (reference_logprobs - logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    return torch.exp(log_ratio) - log_ratio - 1


def path_weights(lengths: Sequence[int], num_paths: int) -> Tensor:
    """Weight of every token so that a weighted sum is the mean over each path's tokens, then over `num_paths` paths.

    `num_paths` counts the whole step, whatever part of it `lengths` is, so micro-batches and processes add up.

    >>> path_weights([1, 2], num_paths=2).tolist()
    [0.5, 0.25, 0.25]
    """
    sizes = torch.tensor(lengths, dtype=torch.int64)
    return torch.repeat_interleave(1.0 / (num_paths * sizes.double()), sizes).float()
