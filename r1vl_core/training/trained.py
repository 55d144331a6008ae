"""Which weights a run trains: all of them, or some."""

from __future__ import annotations

from r1vl_core.config import StepGRPO, Warmup
from r1vl_core.policy.model import Policy
from r1vl_core.training.adapters import add_adapters


def choose_trained(policy: Policy, settings: Warmup | StepGRPO, seed: int) -> None:
    """Put in the adapters and freeze what a stage's settings say."""
    if settings.lora:
        add_adapters(policy, settings.lora, seed)
    elif settings.freeze_vision:
        freeze_vision(policy)


def freeze_vision(policy: Policy) -> None:
    """Keep the vision tower and its projector as they are."""
    policy.model.model.visual.requires_grad_(False)
