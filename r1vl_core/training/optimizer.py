"""AdamW over the trained parameters, gradients summed over processes, clipped updates."""

from __future__ import annotations

from typing import Any

import torch
from torch.distributed.tensor import DTensor

from r1vl_core.policy.sharding import gathered
from r1vl_core.training.processes import num_processes


def adamw(model: torch.nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW over the parameters that require a gradient; biases and norms are not decayed."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, fused=True)


def sum_gradients(model: torch.nn.Module, accelerator: Any) -> None:
    """Sum gradients over processes. Each process divides its loss by the count of all, so the sum is what one process would have."""
    if num_processes(accelerator) == 1:
        return
    # What is in shards was summed in the backward pass; adapters, put into a sharded model, are whole in every process.
    trained = [parameter for parameter in _with_gradients(model) if not isinstance(parameter, DTensor)]
    # Each where it lies: gathered in one tensor they would take the memory of three gradients.
    for sending in [torch.distributed.all_reduce(parameter.grad, async_op=True) for parameter in trained]:
        sending.wait()


def update(model: torch.nn.Module, optimizer: torch.optim.Optimizer, learning_rate: float, max_grad_norm: float) -> float:
    """Clip, step at `learning_rate`, clear the gradients; the norm before clipping.

    Raises FloatingPointError when the norm is not finite: one more step would spoil every weight.
    """
    _with_gradients(model)
    norm = float(gathered(torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)))
    if not torch.isfinite(torch.tensor(norm)):
        raise FloatingPointError(f"the gradient norm is {norm}; the last checkpoint is from before this step")
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm


def _with_gradients(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    # A step whose groups were all left out has gradient zero, not none: AdamW must do the same as if they had been computed.
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    return trained
