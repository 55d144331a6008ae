"""Log-probabilities of completion tokens under a policy: the dense way, and with the prompt shared by its group.

The head is applied only where a completion token is predicted, in tiles that are recomputed in the backward pass, and its output is
taken to fp32 before the softmax: no (B, T, V) tensor exists at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from r1vl_core.policy.batch import Rows, pad_rows, prompt_positions
from r1vl_core.policy.model import Policy, Prompt
from r1vl_core.policy.precision import is_bf16
from r1vl_core.policy.sharding import in_forward
from r1vl_core.policy.shared_prefix import pack_groups, packed_attention

TILE_ELEMENTS = 2**25
"""Logits held at once: 128 MB in fp32."""


class TokenScores(NamedTuple):
    """Scores of N tokens: `logprobs` (N,) carry the gradient; `entropies` (N,) in nats and `is_top` (N,) do not.

    `is_top` says whether the token was the most probable one.
    """

    logprobs: Tensor
    entropies: Tensor
    is_top: Tensor


@in_forward
def score_rows(policy: Policy, rows: Rows, temperature: float = 1.0, *, mask_forbidden: bool = True) -> TokenScores:
    """Score the completion tokens of padded rows, in the rows' order."""
    with autocast(policy):
        hidden = last_hidden(
            policy,
            input_ids=rows.input_ids,
            position_ids=rows.position_ids,
            pixel_values=rows.pixel_values,
            image_grid_thw=rows.image_grid_thw,
        )
        predicting = hidden.flatten(0, 1).index_select(0, rows.predict_at)
        return score_tokens(policy, predicting, rows.targets, temperature, mask_forbidden=mask_forbidden)


def score_dense(policy: Policy, prompts: Sequence[Prompt], groups: Sequence[Sequence[Tensor]], temperature: float) -> TokenScores:
    """Score every completion of each prompt's group, each in a padded row of its own: the oracle, and the way for unknown models.

    Tokens come question after question, completion after completion, as in `score_shared`.
    """
    repeated = [prompt for prompt, group in zip(prompts, groups, strict=True) for _ in group]
    positions = [at for prompt, group in zip(prompts, groups, strict=True) for at in [prompt_positions(policy, prompt)] * len(group)]
    return score_rows(policy, pad_rows(policy, repeated, positions, [tokens for group in groups for tokens in group]), temperature)


@in_forward
def score_shared(policy: Policy, prompts: Sequence[Prompt], groups: Sequence[Sequence[Tensor]], temperature: float) -> TokenScores:
    """The same scores with each prompt, its pictures included, computed once for its whole group."""
    packed = pack_groups(policy, prompts, groups)
    with autocast(policy):
        with packed_attention(policy):
            hidden = last_hidden(
                policy,
                input_ids=packed.input_ids,
                position_ids=packed.position_ids,
                pixel_values=packed.pixel_values,
                image_grid_thw=packed.image_grid_thw,
                layout=packed.layout,
            )
        # A prompt's last place predicts the first token of its whole group. The gradient of indexing adds such repeats up in whatever order
        # the threads come; that of index_select does not.
        return score_tokens(policy, hidden[0].index_select(0, packed.predict_at), packed.targets, temperature)


def last_hidden(policy: Policy, **inputs: Any) -> Tensor:
    """Hidden states (B, T, H) after the last layer; positions are always given, so no state on the model is read."""
    hidden: Tensor = policy.model.model(use_cache=inputs.get("past_key_values") is not None, **inputs).last_hidden_state
    return hidden


def score_tokens(
    policy: Policy,
    hidden: Tensor,
    targets: Tensor,
    temperature: float,
    *,
    mask_forbidden: bool = True,
    tile_elements: int = TILE_ELEMENTS,
) -> TokenScores:
    """Score `targets` (N,) predicted by `hidden` (N, H): log-softmax of logits / temperature, as sampling draws them."""
    forbidden = forbidden_tokens(policy) if mask_forbidden else None
    head = policy.model.lm_head
    tile = max(1, tile_elements // head.out_features)
    if len(targets) <= tile:
        return _score_tile(head, hidden, targets, temperature, forbidden)
    tiles = [
        checkpoint(_score_tile, head, some, wanted, temperature, forbidden, use_reentrant=False)
        for some, wanted in zip(hidden.split(tile), targets.split(tile), strict=True)
    ]
    return TokenScores(*(torch.cat(parts) for parts in zip(*tiles, strict=True)))


def scaled_logits(head: Any, hidden: Tensor, temperature: float, forbidden: Tensor | None) -> Tensor:
    """Logits (N, V) / temperature in fp32; forbidden tokens get the lowest finite value, hence probability 0."""
    logits = head(hidden).float()
    if temperature != 1.0:
        logits = logits / temperature
    return logits if forbidden is None else logits.index_fill(-1, forbidden, torch.finfo(torch.float32).min)


def forbidden_tokens(policy: Policy) -> Tensor | None:
    """The policy's forbidden tokens as an index tensor on its device, or None when there are none."""
    if not policy.forbidden_token_ids:
        return None
    return torch.tensor(policy.forbidden_token_ids, device=policy.device)


def autocast(policy: Policy) -> torch.autocast:
    """The policy's precision over fp32 weights, the same when sampling and when training; the head's output is taken to fp32 in any."""
    return torch.autocast(policy.device.type, dtype=torch.bfloat16, enabled=is_bf16(policy.precision, policy.device.type))


def _score_tile(head: Any, hidden: Tensor, targets: Tensor, temperature: float, forbidden: Tensor | None) -> TokenScores:
    logits = scaled_logits(head, hidden, temperature, forbidden)
    log_totals = torch.logsumexp(logits, dim=-1)
    chosen = logits.gather(-1, targets[:, None])[:, 0]
    with torch.no_grad():
        probabilities = torch.exp(logits - log_totals[:, None])
        entropies = log_totals - (probabilities * logits).sum(-1)
        is_top = chosen >= logits.amax(-1)
    return TokenScores(chosen - log_totals, entropies, is_top)
