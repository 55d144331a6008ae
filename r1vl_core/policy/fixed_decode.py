"""Decoding in steps of fixed shape, so that a GPU can be given a whole step at once (CUDA graphs).

A step of decoding is hundreds of kernels that take less time than it takes to launch them. Here nothing about a step depends on how many
there have been: the responses' keys and values are buffers of so many columns, written at a place that a tensor on the device holds, and
what is not written yet is hidden by a mask made from it; nothing is sent to the device and nothing is read from it. So on a GPU the first
step of an arrangement of rows and columns is computed, the second recorded, and from then on the record is played. Rows leave, and columns
are added, by another arrangement. The host looks only now and then who has ended; what a response goes on to say then is cut off.

What is computed is what `shared_decode` computes, with hidden columns beside. On a CPU, where nothing is recorded, the tests hold it to
that.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from r1vl_core.policy.drawing import ROOM, Drawing, Live
from r1vl_core.policy.shared_decode import SharedCache, SharedLayer

UNWATCHED = 16
"""Steps between looks at who has ended."""


class FixedLayer(SharedLayer):
    """One layer: the prompts as in `SharedLayer`; a response column is written at `place` (1,), and all columns are shown."""

    place: Tensor

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Keep the prompts' columns at first; later write a response column and return the responses' buffers whole."""
        if self.prompt is None:
            return super().update(key_states, value_states)
        keys, values = self.buffers
        keys.index_copy_(2, self.place, key_states.to(keys.dtype))
        values.index_copy_(2, self.place, value_states)
        return keys, values


class FixedCache(SharedCache):
    """A cache of `FixedLayer`s that write at `place` (1,), the number of tokens that each row has had."""

    def __init__(self) -> None:
        Cache.__init__(self, layer_class_to_replicate=FixedLayer)

    @property
    def num_columns(self) -> int:
        """Tokens that there is room for."""
        return int(self.layers[0].buffers[0].shape[2])

    def fan_out(self, prompt_of: Tensor, prompt_lengths: Tensor, room: int) -> None:
        """After the prompts' forward: a row for each entry of `prompt_of` (B,), with room for that many tokens."""
        super().fan_out(prompt_of, prompt_lengths, room)
        self.place = torch.zeros(1, dtype=torch.int64, device=prompt_of.device)
        for layer in self.layers:
            layer.place = self.place

    def written(self, num_tokens: int) -> None:
        """Say how many columns the steps have written: the host's own count, for the next `keep`."""
        for layer in self.layers:
            layer.length = num_tokens

    def inputs(self) -> dict[str, Any]:
        """What the model's forward needs beside the cache: it hides the columns that are not written yet."""
        columns = torch.arange(self.num_columns, device=self.place.device)
        dtype = self.layers[0].buffers[0].dtype
        self.own_bias = torch.zeros(len(columns), dtype=dtype, device=self.place.device)
        self.own_bias.masked_fill_(columns > self.place, torch.finfo(dtype).min)
        return super().inputs()


class Recorded:
    """A step of fixed shape: computed at the first call, recorded at the second, played from then on; on a CPU always computed."""

    def __init__(self, step: Callable[[], None], device: torch.device) -> None:
        self._step, self._records = step, device.type == "cuda"
        self._graph: torch.cuda.CUDAGraph | None = None
        self._is_warm = False

    def __call__(self) -> None:
        """Take the step."""
        if not self._records or not self._is_warm:
            self._step()
            self._is_warm = True
            return
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._step()
        self._graph.replay()


def decode_in_graphs(drawing: Drawing, live: Live, cache: FixedCache, progress: Callable[[int], None]) -> None:
    """Draw responses until all have ended or are as long as they may be."""
    step, last = 0, drawing.max_new_tokens
    while step < last:
        step, num_done = _in_one_arrangement(drawing, live, cache, step, progress)
        if num_done == len(live.done) or step == last:
            return
        cache.written(step)
        # Twice the columns each time: an arrangement costs a step that is computed and one that is recorded.
        live.keep((~live.done).nonzero()[:, 0], min(max(ROOM, step), last - step))


def _in_one_arrangement(drawing: Drawing, live: Live, cache: FixedCache, step: int, progress: Callable[[int], None]) -> tuple[int, int]:
    """Go on until a quarter of the rows have ended or all columns are written; the tokens drawn by then, and how many rows have ended."""
    take = Recorded(functools.partial(_take, drawing, live, cache), live.done.device)
    num_done, full = 0, min(cache.num_columns, drawing.max_new_tokens)
    while step < full and num_done * 4 < len(live.done):
        for _ in range(min(UNWATCHED, full - step)):
            take()
            step += 1
            progress(step)
        num_done = int(live.done.sum())
    return step, num_done


def _take(drawing: Drawing, live: Live, cache: FixedCache) -> None:
    tokens = drawing.draw(live, cache.place)
    live.hidden.copy_(live.advance(drawing.policy, tokens, cache.place))
    cache.place += 1
