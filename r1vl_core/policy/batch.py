"""Prompts and completions to padded tensors: positions, targets, and batches that fit a token budget.

Letters: B rows, T tokens of a row, N scored tokens, I images. Pixel rows are one per patch and follow the order of the rows; they
are never indexed by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from r1vl_core.policy.model import Policy, Prompt


@dataclass(frozen=True, slots=True)
class Rows:
    """B rows of prompt tokens, each followed by at most one completion, padded on the right to T.

    `input_ids` (B, T); `position_ids` (3, B, T) for M-RoPE; `predict_at` (N,) indexes the flattened (B * T) positions whose hidden
    state predicts `targets` (N,), row after row. Padding stands after every real token, so a causal model needs no mask.
    """

    input_ids: Tensor
    position_ids: Tensor
    pixel_values: Tensor
    image_grid_thw: Tensor
    predict_at: Tensor
    targets: Tensor


def prompt_positions(policy: Policy, prompt: Prompt) -> Tensor:
    """M-RoPE positions (3, T) of a prompt, from the model's own rule.

    Without `mm_token_type_ids` transformers silently gives image tokens text positions; they are always passed here.
    """
    positions, _ = policy.model.model.get_rope_index(
        prompt.input_ids[None], mm_token_type_ids=prompt.mm_token_type_ids[None], image_grid_thw=prompt.image_grid_thw
    )
    return positions[:, 0]


def completion_positions(positions: Tensor, num_tokens: int) -> Tensor:
    """Positions (3, num_tokens) of a completion after a prompt with `positions` (3, T): text counts on from the largest."""
    return (int(positions.max()) + 1 + torch.arange(num_tokens)).expand(3, -1)


def pad_rows(
    policy: Policy,
    prompts: Sequence[Prompt],
    positions: Sequence[Tensor],
    completions: Sequence[Tensor],
    pictured: Sequence[Prompt] | None = None,
) -> Rows:
    """One row [prompt | completion] for each pair; a completion may be empty. Tensors land on the policy's device.

    Pictures are those of all `prompts` or, for a forward that spreads them itself, of `pictured`.
    """
    lengths = [len(prompt) + len(completion) for prompt, completion in zip(prompts, completions, strict=True)]
    num_rows, width = len(lengths), max(lengths)
    input_ids = torch.full((num_rows, width), policy.pad_token_id)
    position_ids = torch.zeros(3, num_rows, width, dtype=torch.int64)
    predict_at = []
    for row, (prompt, at, completion) in enumerate(zip(prompts, positions, completions, strict=True)):
        start, end = len(prompt), len(prompt) + len(completion)
        input_ids[row, :start] = prompt.input_ids
        input_ids[row, start:end] = completion
        position_ids[:, row, :start] = at
        position_ids[:, row, start:end] = completion_positions(at, len(completion))
        predict_at.append(torch.arange(row * width + start - 1, row * width + end - 1))
    pixel_values, image_grid_thw = join_images(policy, prompts if pictured is None else pictured)
    device = policy.device
    return Rows(
        input_ids.to(device),
        position_ids.to(device),
        pixel_values,
        image_grid_thw,
        torch.cat(predict_at).to(device),
        torch.cat(list(completions)).to(device),
    )


def join_images(policy: Policy, prompts: Sequence[Prompt]) -> tuple[Tensor, Tensor]:
    """Patches and grids of all prompts, in order, on the policy's device."""
    pixel_values = torch.cat([prompt.pixel_values for prompt in prompts])
    image_grid_thw = torch.cat([prompt.image_grid_thw for prompt in prompts])
    return pixel_values.to(policy.device), image_grid_thw.to(policy.device)


def split_by_budget(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Group row indices into batches of at most `token_budget` tokens, padding included; longest rows first.

    A row longer than the budget gets a batch of its own: nothing is ever cut.

    >>> split_by_budget([3, 8, 4, 2], token_budget=8)
    [[1], [2, 0], [3]]
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    batches: list[list[int]] = []
    for index in order:
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= token_budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches
