"""Gradient checkpointing: a layer keeps its input alone, and its inside is computed again in the backward pass."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext

from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from r1vl_core.policy.model import Policy
from r1vl_core.policy.shared_prefix import attention_named


def recompute_activations(policy: Policy) -> None:
    """From now on every layer of the language model and of the vision tower is computed twice while training; results are the same.

    transformers' own switch would recompute with whatever attention the model is set to by then; ours with that of the forward.
    """
    layers = [module for module in policy.model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise ValueError(f"gradient checkpointing: a {policy.model.config.model_type} model has no layers that allow it; switch it off")
    again = functools.partial(checkpoint, use_reentrant=False, context_fn=functools.partial(_contexts, policy))
    for layer in layers:
        layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = again


def _contexts(policy: Policy) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """What to compute a layer in: now, and again in the backward pass."""
    return nullcontext(), attention_named(policy, policy.model.model.language_model.config._attn_implementation)
