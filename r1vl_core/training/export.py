"""Write a trained policy so that it loads like any other: adapters folded in, shards gathered."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError

from r1vl_core.policy.model import Policy
from r1vl_core.policy.sharding import gathered_weights
from r1vl_core.training.adapters import merged


def export(policy: Policy, folder: Path, *, writes: bool = True) -> None:
    """Write the whole policy to `folder`; the policy stays as it is. Where it is sharded, every process calls, and those with `writes`
    write. Raises OSError when it cannot be written (a full disk)."""
    weights = gathered_weights(policy.model.state_dict(keep_vars=True), keep=writes)
    if writes:
        try:
            policy.save(folder, merged(policy.model, weights))
        except (OSError, SafetensorError) as error:  # each writer has its own way to say that the disk is full
            raise OSError(f"cannot write the policy to {folder}: {error}; make room and run again") from error
