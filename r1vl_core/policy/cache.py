"""A key/value cache that grows in place: decoding writes one column a token instead of copying all that went before."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer


class GrowingLayer(DynamicLayer):
    """One layer's keys and values, views of the first `length` columns of preallocated buffers (B, heads, capacity, head_dim).

    The prompt's forward stores what it computed; `reserve` then makes room for the completion, and further tokens are written there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.buffers: tuple[Tensor, Tensor] | None = None
        self.length = 0

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append columns and return all keys and values."""
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
        self.buffers = (_roomy(self.keys, rows, num_tokens), _roomy(self.values, rows, num_tokens))
        self._show()

    def _show(self) -> tuple[Tensor, Tensor]:
        assert self.buffers is not None
        self.keys, self.values = (buffer[:, :, : self.length] for buffer in self.buffers)
        return self.keys, self.values


class GrowingCache(Cache):
    """A cache of `GrowingLayer`s, added as the model's layers ask for them."""

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=GrowingLayer)

    @property
    def is_full(self) -> bool:
        """Whether the next token needs a `reserve` first."""
        buffers = self.layers[0].buffers
        return buffers is None or self.layers[0].length == buffers[0].shape[2]

    @property
    def dtype(self) -> torch.dtype:
        """Of keys and values."""
        dtype: torch.dtype = self.layers[0].keys.dtype
        return dtype

    def reserve(self, rows: Tensor, num_tokens: int) -> None:
        """Keep `rows` of every layer, with room for `num_tokens` more tokens."""
        for layer in self.layers:
            layer.reserve(rows, num_tokens)


def _roomy(tensor: Tensor, rows: Tensor, num_tokens: int) -> Tensor:
    _, num_heads, length, head_dim = tensor.shape
    buffer = tensor.new_empty(len(rows), num_heads, length + num_tokens, head_dim)
    buffer[:, :, :length] = tensor[rows]
    return buffer
