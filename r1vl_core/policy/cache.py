"""Keys and values while decoding: rows that each hold their prompt, for any model.

`shared_decode` holds each prompt once for all its rows; this one is for models that it does not know, and the oracle in the tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from r1vl_core.policy.model import Policy


class GrowingLayer(DynamicLayer):
    """One layer's keys and values, views of the first `length` columns of preallocated buffers (B, heads, capacity, head_dim).

    The prompt's forward stores what it computed; `reserve` then makes room for the completion, and further tokens are written there:
    decoding writes one column a token instead of copying all that went before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.buffers: tuple[Tensor, Tensor] | None = None
        self.length = 0

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append columns and return all keys and values."""
        key_states = as_read(key_states, value_states)
        if self.buffers is None:
            keys, values = super().update(key_states, value_states)
            self.length = keys.shape[-2]
            return keys, values
        start, self.length = self.length, self.length + key_states.shape[-2]
        self.buffers[0][:, :, start : self.length] = key_states
        self.buffers[1][:, :, start : self.length] = value_states
        return self._show()

    def reserve(self, rows: Tensor, num_tokens: int) -> None:
        """Keep `rows` (indices, repeats allowed) and leave room for `num_tokens` more columns."""
        self.buffers = (roomy(self.keys, rows, num_tokens), roomy(self.values, rows, num_tokens))
        self._show()

    def _show(self) -> tuple[Tensor, Tensor]:
        assert self.buffers is not None
        self.keys, self.values = (buffer[:, :, : self.length] for buffer in self.buffers)
        return self.keys, self.values


class GrowingCache(Cache):
    """A cache of `GrowingLayer`s, added as the model's layers ask for them; prompts are padded on the right."""

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=GrowingLayer)

    @property
    def is_full(self) -> bool:
        """Whether the next token needs a `keep` first."""
        buffers = self.layers[0].buffers
        return buffers is None or self.layers[0].length == buffers[0].shape[2]

    def fan_out(self, prompt_of: Tensor, prompt_lengths: Tensor, room: int) -> None:
        """After the prompts' forward: a row for each entry of `prompt_of` (B,), with room for that many tokens."""
        self.prompt_width = self.layers[0].length
        self.prompt_lengths = prompt_lengths
        self.keep(prompt_of, room)

    def keep(self, kept: Tensor, room: int) -> None:
        """Go on with the rows at `kept` and room for that many more tokens."""
        self.prompt_lengths = self.prompt_lengths[kept]
        self.is_padded = bool((self.prompt_lengths < self.prompt_width).any())
        for layer in self.layers:
            layer.reserve(kept, room)

    def inputs(self) -> dict[str, Any]:
        """What the model's forward needs beside the cache: an additive mask (B, 1, 1, columns) over the padding, if there is any."""
        if not self.is_padded:
            return {}
        columns = torch.arange(self.get_seq_length() + 1, device=self.prompt_lengths.device)
        hidden = (columns >= self.prompt_lengths[:, None]) & (columns < self.prompt_width)
        mask = torch.zeros(hidden.shape, dtype=self.layers[0].keys.dtype, device=hidden.device)
        return {"attention_mask": mask.masked_fill_(hidden, torch.finfo(mask.dtype).min)[:, None, None]}

    @contextmanager
    def attention(self, policy: Policy) -> Iterator[None]:
        """The model attends as it always does."""
        yield


def as_read(key_states: Tensor, value_states: Tensor) -> Tensor:
    """Keys as attention reads them: under autocast rotary positions leave them in fp32, and each token would round all of them again."""
    return key_states.to(value_states.dtype)


def roomy(tensor: Tensor, rows: Tensor, num_tokens: int) -> Tensor:
    """`rows` of a tensor (B, heads, T, D), copied into one with `num_tokens` more columns, which are 0."""
    _, num_heads, length, head_dim = tensor.shape
    buffer = tensor.new_zeros(len(rows), num_heads, length + num_tokens, head_dim)
    buffer[:, :, :length] = tensor[rows]
    return buffer
