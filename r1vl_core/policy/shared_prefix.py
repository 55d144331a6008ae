"""Attention for packed groups: every prompt is computed once, and each of its completions sees the prompt and itself.

All tokens of a micro-batch stand in one row without padding, prompts first, then completions: S tokens in all, which is what the
linear layers see. Only attention needs to know who belongs to whom, and it is split in two calls: prompts among themselves (P, T),
completions (B, C) over their prompt's keys and their own (T + C). Nothing of size S * S exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from r1vl_core.policy.batch import completion_positions, join_images, prompt_positions
from r1vl_core.policy.model import Policy, Prompt

SUPPORTED = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
"""Model types whose attention is known to take the packed layout; others use the dense forward."""

_NAME = "packed_groups"


@dataclass(frozen=True, slots=True)
class Layout:
    """Who sees whom in a packed row.

    `prompts` (P, T) and `completions` (B, C) hold places in the row, padding points at place 0; `prompt_tokens`, `completion_tokens` are
    the places, in the flattened two, of what is no padding; `prompt_of` (B,) names each completion's prompt; `visible` (B, 1, C, T + C) is
    the mask.
    """

    prompts: Tensor
    prompt_tokens: Tensor
    completions: Tensor
    completion_tokens: Tensor
    prompt_of: Tensor
    visible: Tensor


@dataclass(frozen=True, slots=True)
class Packed:
    """Groups packed in one row: `input_ids` (1, S), `position_ids` (3, 1, S); `predict_at` (N,) are the places whose hidden state
    predicts `targets` (N,), question after question, completion after completion."""

    input_ids: Tensor
    position_ids: Tensor
    pixel_values: Tensor
    image_grid_thw: Tensor
    predict_at: Tensor
    targets: Tensor
    layout: Layout


def pack_groups(policy: Policy, prompts: Sequence[Prompt], groups: Sequence[Sequence[Tensor]]) -> Packed:
    """Pack each prompt with its group of completions; a completion's last token predicts nothing and is left out."""
    at = [prompt_positions(policy, prompt) for prompt in prompts]
    fed = [(index, tokens[:-1]) for index, group in enumerate(groups) for tokens in group]
    positions = [*at, *(completion_positions(at[index], len(tokens)) for index, tokens in fed)]
    prompt_spans, first = _spans([len(prompt) for prompt in prompts], 0)
    fed_spans, _ = _spans([len(tokens) for _, tokens in fed], first)
    predict_at = []
    for (index, _), (start, stop), target in zip(fed, fed_spans, (t for group in groups for t in group), strict=True):
        predict_at += [prompt_spans[index][1] - 1, *range(start, stop)][: len(target)]
    device = policy.device
    pixel_values, image_grid_thw = join_images(policy, prompts)
    return Packed(
        torch.cat([*(prompt.input_ids for prompt in prompts), *(tokens for _, tokens in fed)])[None].to(device),
        torch.cat(positions, dim=1)[:, None].to(device),
        pixel_values,
        image_grid_thw,
        torch.tensor(predict_at, dtype=torch.int64, device=device),
        torch.cat([tokens for group in groups for tokens in group]).to(device),
        _layout(prompt_spans, fed_spans, [index for index, _ in fed], device),
    )


@contextmanager
def packed_attention(policy: Policy) -> Iterator[None]:
    """Within it, the language model attends as the `layout` given to its forward says."""
    with attention_named(policy, _NAME):
        yield


@contextmanager
def attention_named(policy: Policy, name: str) -> Iterator[None]:
    """Within it, the language model uses the attention registered under this name; the vision tower keeps its own."""
    config = policy.model.model.language_model.config
    before = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before


def _attend(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: None, *, layout: Layout, scaling: float, **_: Any
) -> tuple[Tensor, None]:
    """Attention over a packed row: query (1, heads, S, D), key and value (1, key heads, S, D); the result is (1, S, heads, D)."""
    rows = [tensor[0].transpose(0, 1) for tensor in (query, key, value)]
    q, k, v = (_take(tensor, layout.prompts) for tensor in rows)
    out, _ = sdpa_attention_forward(module, q, k, v, None, scaling=scaling, is_causal=True)
    # By places and not by a mask, for whose count a GPU would be waited for in every layer.
    parts = [out.flatten(0, 1).index_select(0, layout.prompt_tokens)]
    if len(layout.completions):
        own_q, own_k, own_v = (_take(tensor, layout.completions) for tensor in rows)
        all_k = torch.cat([k.index_select(0, layout.prompt_of), own_k], dim=2)
        all_v = torch.cat([v.index_select(0, layout.prompt_of), own_v], dim=2)
        out, _ = sdpa_attention_forward(module, own_q, all_k, all_v, layout.visible, scaling=scaling, is_causal=False)
        parts.append(out.flatten(0, 1).index_select(0, layout.completion_tokens))
    return torch.cat(parts)[None], None


AttentionInterface.register(_NAME, _attend)


def _take(tensor: Tensor, places: Tensor) -> Tensor:
    """Rows (S, heads, D) at `places` (B, T), as (B, heads, T, D)."""
    return tensor.index_select(0, places.flatten()).unflatten(0, places.shape).transpose(1, 2)


def _spans(lengths: Sequence[int], start: int) -> tuple[list[tuple[int, int]], int]:
    spans = []
    for length in lengths:
        spans.append((start, start + length))
        start += length
    return spans, start


def _layout(prompts: list[tuple[int, int]], completions: list[tuple[int, int]], prompt_of: list[int], device: torch.device) -> Layout:
    kept = [index for index, (start, stop) in enumerate(completions) if stop > start]
    prompt_at, prompt_is_real = _padded(prompts)
    own_at, own_is_real = _padded([completions[index] for index in kept])
    owner = torch.tensor([prompt_of[index] for index in kept], dtype=torch.int64)
    num_rows, width = own_at.shape
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    visible = torch.cat([prompt_is_real[owner][:, None].expand(-1, width, -1), causal.expand(num_rows, -1, -1)], dim=-1)[:, None]
    prompt_tokens, own_tokens = (is_real.flatten().nonzero()[:, 0] for is_real in (prompt_is_real, own_is_real))
    return Layout(*(part.to(device) for part in (prompt_at, prompt_tokens, own_at, own_tokens, owner, visible)))


def _padded(spans: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    width = max((stop - start for start, stop in spans), default=0)
    columns = torch.arange(width).expand(len(spans), -1)
    starts = torch.tensor([start for start, _ in spans], dtype=torch.int64)[:, None]
    is_real = columns < torch.tensor([stop - start for start, stop in spans], dtype=torch.int64)[:, None]
    return torch.where(is_real, starts + columns, 0), is_real
