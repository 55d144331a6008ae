"""Low-rank adapters (LoRA, arXiv 2106.09685) on a policy: put in, switched off for the reference, folded in when it is saved."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from r1vl_core.config import Lora
from r1vl_core.policy.model import Policy

_NAME = "default"
_BASE = ".base_layer."


def add_adapters(policy: Policy, lora: Lora, seed: int) -> None:
    """Give the language model's linear layers of those names an adapter each, in place, and freeze every other weight.

    An adapter starts as 0, so that the policy is what it was; its random half is decided by `seed`. Raises ValueError when peft is not
    installed, and for a name that no linear layer has.
    """
    peft = _peft()
    targets = _targets(policy.model, lora.target_modules)
    config = peft.LoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(config, policy.model, adapter_name=_NAME)
    for name, parameter in policy.model.named_parameters():
        parameter.requires_grad_(".lora_" in name)


def check_adapters(lora: Lora, model: Any) -> None:
    """Raises ValueError as `add_adapters` would; the model, which may be without weights, stays as it is."""
    _peft()
    _targets(model, lora.target_modules)


@contextmanager
def without_adapters(model: torch.nn.Module) -> Iterator[None]:
    """Within it, the model computes as if it had no adapters: to the bit what it was before they were put in."""
    layers = _adapted(model)
    for layer in layers.values():
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers.values():
            layer.enable_adapters(True)


def seed_dropout(lora: Lora | None, seed: int, step: int, process: int) -> None:
    """Make what a step drops a matter of its number alone, so that a resumed run drops the same; without dropout nothing is touched."""
    if lora and lora.dropout:
        torch.manual_seed(hash((seed, step, process)) % 2**63)


def merged(model: torch.nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The model's `weights`, by their names in it, as those of a model without adapters: W + alpha / rank * B A. Takes `weights` apart."""
    for name, layer in _adapted(model).items():
        down, up = (weights.pop(f"{name}.{part}.{_NAME}.weight") for part in ("lora_A", "lora_B"))
        base = f"{name}{_BASE}weight"
        weights[base] = weights[base] + layer.scaling[_NAME] * (up @ down)
    return {name.replace(_BASE, "."): weight for name, weight in weights.items()}


def _adapted(model: torch.nn.Module) -> dict[str, Any]:
    return {name: module for name, module in model.named_modules() if hasattr(module, "lora_A")}


def _targets(model: Any, names: tuple[str, ...]) -> list[str]:
    where = model.model.language_model
    linear = [name for name, module in where.named_modules() if isinstance(module, torch.nn.Linear)]
    for wanted in names:
        if not any(name.split(".")[-1] == wanted for name in linear):
            known = sorted({name.split(".")[-1] for name in linear})
            raise ValueError(f"lora.target_modules: the language model has no linear layer {wanted!r}; it has {', '.join(known)}")
    prefix = next(name for name, module in model.named_modules() if module is where)
    return [f"{prefix}.{name}" for name in linear if name.split(".")[-1] in names]


def _peft() -> Any:
    try:
        return importlib.import_module("peft")
    except ModuleNotFoundError as error:
        if error.name != "peft":
            raise
        raise ValueError("lora needs peft, which is not installed; install the extra: pip install 'r1vl[lora]'") from None
