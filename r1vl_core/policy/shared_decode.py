"""Decoding many responses to one prompt with the prompt's keys and values held, and read, once.

At a token, attention reads every key and value it has ever made: that is the time of decoding. M rows of a group read the same
prompt; here their queries meet it together, as the M rows of one matrix product, and only the responses are read row by row.

Letters: G prompts, B rows, M places a prompt, K key heads, R query heads a key head, T prompt columns, C response columns, D.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.cache_utils import Cache, DynamicLayer

from r1vl_core.policy.model import Policy
from r1vl_core.policy.shared_prefix import attention_named

_NAME = "shared_decode"


class SharedLayer(DynamicLayer):
    """One layer: the prompts' keys and values (G, K, T, D), and those of the responses, views of preallocated (B, K, capacity, D)."""

    def __init__(self) -> None:
        super().__init__()
        self.prompt: tuple[Tensor, Tensor] | None = None
        self.length = 0

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Keep the prompts' columns at first; later append a response column and return the responses' alone."""
        key_states = _as_read(key_states, value_states)
        if self.prompt is None:
            return super().update(key_states, value_states)
        start, self.length = self.length, self.length + key_states.shape[-2]
        for buffer, new in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, start : self.length] = new
        keys, values = (buffer[:, :, : self.length] for buffer in self.buffers)
        return keys, values

    def fan_out(self, num_rows: int, room: int) -> None:
        """The prompts are in; open a row for every response."""
        self.prompt = (self.keys.contiguous(), self.values.contiguous())
        _, num_heads, _, head_dim = self.keys.shape
        self.buffers = tuple(tensor.new_zeros(num_rows, num_heads, room, head_dim) for tensor in self.prompt)

    def keep(self, kept: Tensor, prompts: Tensor | None, room: int) -> None:
        """Go on with these rows and, unless None, these prompts alone."""
        self.buffers = tuple(_roomy(buffer[:, :, : self.length], kept, room) for buffer in self.buffers)
        if prompts is not None and self.prompt is not None:
            self.prompt = (self.prompt[0][prompts], self.prompt[1][prompts])


class SharedCache(Cache):
    """A cache of `SharedLayer`s, and who belongs to whom: see `keep`. `own_bias` (C,), where there is one, hides response columns."""

    own_bias: Tensor | None = None

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=SharedLayer)

    @property
    def is_full(self) -> bool:
        """Whether the next token needs a `keep` first."""
        layer = self.layers[0]
        return bool(layer.length == layer.buffers[0].shape[2])

    def fan_out(self, prompt_of: Tensor, prompt_lengths: Tensor, room: int) -> None:
        """After the prompts' forward: a row for each entry of `prompt_of` (B,), with room for that many tokens."""
        for layer in self.layers:
            layer.fan_out(len(prompt_of), room)
        self.prompt_of, self.prompt_lengths = prompt_of, prompt_lengths
        self._arrange()

    def keep(self, kept: Tensor, room: int) -> None:
        """Go on with the rows at `kept` and room for that many more tokens; prompts nobody answers any more are dropped."""
        prompts, self.prompt_of = self.prompt_of[kept].unique(return_inverse=True)
        some_left = None if len(prompts) == len(self.prompt_lengths) else prompts
        self.prompt_lengths = self.prompt_lengths[prompts]
        for layer in self.layers:
            layer.keep(kept, some_left, room)
        self._arrange()

    def inputs(self) -> dict[str, Any]:
        """What the model's forward needs beside the cache."""
        return {"shared": self}

    @contextmanager
    def attention(self, policy: Policy) -> Iterator[None]:
        """The language model attends as this cache is laid out."""
        with attention_named(policy, _NAME):
            yield

    def _arrange(self) -> None:
        """Give each row a place among its prompt's: `rows` (G * M,) names the row at each place, `places` (B,) each row's place."""
        num_prompts, device = len(self.prompt_lengths), self.prompt_of.device
        counts = torch.bincount(self.prompt_of, minlength=num_prompts)
        self.num_places = int(counts.max())
        first = counts.cumsum(0) - counts
        order = self.prompt_of.argsort(stable=True)
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=device) - first[self.prompt_of[order]]
        self.places = self.prompt_of * self.num_places + rank
        self.rows = torch.zeros(num_prompts * self.num_places, dtype=torch.int64, device=device)
        self.rows[self.places] = torch.arange(len(order), device=device)
        # Whole groups in order need no looking up.
        self.is_regular = len(self.places) == len(self.rows) and bool((self.places == torch.arange(len(order), device=device)).all())
        width = self.layers[0].prompt[0].shape[2]
        columns = torch.arange(width, device=device)
        padding = columns >= self.prompt_lengths[:, None]
        bias = torch.zeros(padding.shape, dtype=self.layers[0].prompt[0].dtype, device=device)
        bias.masked_fill_(padding, torch.finfo(bias.dtype).min)
        self.bias = bias[:, None, None] if bool(padding.any()) else None

    def by_prompt(self, tensor: Tensor) -> Tensor:
        """Rows (B, K, R, X) side by side under their prompts: (G, K, M * R, X)."""
        if not self.is_regular:
            tensor = tensor.index_select(0, self.rows)
        _, num_heads, repeats, width = tensor.shape
        grouped = tensor.view(-1, self.num_places, num_heads, repeats, width)
        return grouped.transpose(1, 2).reshape(-1, num_heads, self.num_places * repeats, width)

    def by_row(self, tensor: Tensor, repeats: int) -> Tensor:
        """The way back: (G, K, M * R, X) to (B, K, R, X)."""
        _, num_heads, _, width = tensor.shape
        rows = tensor.view(-1, num_heads, self.num_places, repeats, width).transpose(1, 2).reshape(-1, num_heads, repeats, width)
        return rows if self.is_regular else rows.index_select(0, self.places)


def _attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    *,
    shared: SharedCache,
    scaling: float,
    **_: Any,
) -> tuple[Tensor, None]:
    """One token a row, query (B, K * R, 1, D), over its prompt's columns and its own key, value (B, K, C, D)."""
    num_rows, num_heads, head_dim = len(query), query.shape[1], query.shape[3]
    num_keys = key.shape[1]
    repeats = num_heads // num_keys
    prompt_keys, prompt_values = shared.layers[module.layer_idx].prompt  # type: ignore[index]
    queries = query.view(num_rows, num_keys, repeats, head_dim) * scaling
    to_prompt = shared.by_prompt(queries) @ prompt_keys.transpose(-1, -2)
    if shared.bias is not None:
        to_prompt += shared.bias
    to_own = queries @ key.transpose(-1, -2)
    if shared.own_bias is not None:
        to_own += shared.own_bias
    # The responses' scores go to the prompts' and not the other way round: they are fewer.
    scores = torch.cat([to_prompt, shared.by_prompt(to_own)], dim=-1)
    weights = scores.softmax(-1, dtype=torch.float32).to(value.dtype)
    on_prompt, on_own = weights.split([to_prompt.shape[-1], key.shape[2]], dim=-1)
    read = shared.by_row(on_prompt @ prompt_values, repeats) + shared.by_row(on_own, repeats) @ value
    return read.reshape(num_rows, 1, num_heads, head_dim), None


AttentionInterface.register(_NAME, _attend)


def _as_read(key_states: Tensor, value_states: Tensor) -> Tensor:
    """Keys as attention reads them: under autocast rotary positions leave them in fp32, and each token would round all of them again."""
    return key_states.to(value_states.dtype)


def _roomy(tensor: Tensor, rows: Tensor, num_tokens: int) -> Tensor:
    """`rows` of a tensor (B, heads, T, D), copied into one with `num_tokens` more columns, which are 0."""
    _, num_heads, length, head_dim = tensor.shape
    buffer = tensor.new_zeros(len(rows), num_heads, length + num_tokens, head_dim)
    buffer[:, :, :length] = tensor[rows]
    return buffer
