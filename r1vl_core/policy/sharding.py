"""A policy spread over processes (FSDP2): parameters, gradients and optimiser states in shards, gathered where they are needed.

Every function here does nothing out of the ordinary for a policy that is not sharded. Gathering is something all processes do together:
each must call, in the same order, as often as the others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MethodType
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers.modeling_layers import GradientCheckpointingLayer

P = ParamSpec("P")
T = TypeVar("T")


def shard(model: torch.nn.Module, device: torch.device, num_processes: int, *, gather_bf16: bool = False) -> None:
    """Shard a model in place, layer by layer, and take the shards to `device`: outside its own forward a layer is held in parts.

    Gradients are summed over processes, not averaged: each divides its loss by the count of all. With `gather_bf16` weights travel and
    are computed with in bf16; the shards, their gradients and the optimiser stay fp32.
    """
    mesh = init_device_mesh(device.type, (num_processes,))
    precision = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False) if gather_bf16 else MixedPrecisionPolicy()
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    for module in [*layers, model]:
        fully_shard(module, mesh=mesh, mp_policy=precision)
        module.set_gradient_divide_factor(1.0)  # type: ignore[operator]
        module.set_force_sum_reduction_for_comms(True)  # type: ignore[operator]  # gloo knows no other
    _order_prefetches([*layers, model])
    model.run_whole = MethodType(lambda self, function: function(), model)  # type: ignore[assignment]
    register_fsdp_forward_method(model, "run_whole")


def _order_prefetches(modules: list[Any]) -> None:
    """Say what each module gathers ahead in the backward pass: the layer below it in its own stack, or nothing (itself).

    FSDP2's own guess is what was last run before it, sampling included, which differs from process to process: they would wait for each
    other for ever.
    """
    stacks: dict[type, Any] = {}
    for module in modules:
        module.set_modules_to_backward_prefetch([stacks.get(type(module), module)])
        stacks[type(module)] = module


def is_sharded(model: torch.nn.Module) -> bool:
    """Whether `shard` was here."""
    return isinstance(model, FSDPModule)


def in_forward(function: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    """Make a function of a policy count as its model's forward: what stands in no layer (embedding, head) is gathered for all of it."""

    @functools.wraps(function)
    def called(policy: Any, *args: P.args, **kwargs: P.kwargs) -> T:
        if not is_sharded(policy.model):
            return function(policy, *args, **kwargs)
        return policy.model.run_whole(functools.partial(function, policy, *args, **kwargs))  # type: ignore[no-any-return]

    return called  # type: ignore[return-value]  # it keeps the name of its first argument


@contextmanager
def whole(model: torch.nn.Module) -> Iterator[None]:
    """Within it every process holds all weights, so that each can sample at its own pace, without the others. Within another it is
    nothing."""
    if not isinstance(model, FSDPModule) or not any(isinstance(parameter, DTensor) for parameter in model.parameters()):
        yield
        return
    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    model.run_whole(lambda: None)  # type: ignore[operator]  # whose first forward is the model's own makes it the root of its layers
    model.set_reshard_after_forward(False)
    for part in parts:
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()
            part.set_reshard_after_forward(part is not model, recurse=False)


def gathered(tensor: Tensor) -> Tensor:
    """The whole of a tensor that may be a shard."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def sharded_like(tensor: Tensor, like: Tensor) -> Tensor:
    """`tensor`, the same on every process, as `like` is held: the own shard of it, or all. Nothing is sent."""
    if not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def gathered_weights(tensors: Mapping[str, Tensor], *, keep: bool) -> dict[str, Tensor]:
    """Tensors by name, whole; sharded ones in main memory. None at all unless `keep`, for a process that only takes part.

    A tensor that has two names (a head tied to the embedding) still is one.
    """
    weights: dict[str, Tensor] = {}
    first_names: dict[int, str] = {}
    for name, tensor in tensors.items():
        first = first_names.setdefault(id(tensor), name)
        if first != name:
            weights |= {name: weights[first]} if keep else {}
            continue
        full = gathered(tensor.detach())
        if keep:
            weights[name] = full.cpu() if isinstance(tensor, DTensor) else full
    return weights
