"""Which weights a run trains: all of them, or some."""

from __future__ import annotations

from r1vl_core.policy.model import Policy


def freeze_vision(policy: Policy) -> None:
    """Keep the vision tower and its projector as they are."""
    policy.model.model.visual.requires_grad_(False)
