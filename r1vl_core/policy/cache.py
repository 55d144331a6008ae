"""Keys and values while decoding, held as the model itself holds them: for any architecture that transformers has a cache for.

`shared_decode` holds each prompt once for all its rows and lets prompts be of any length; this one is for models that it does not know,
whose layers may keep a window or a running state instead of keys, and the oracle in the tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicCache

from r1vl_core.policy.model import Policy


class OwnCache(DynamicCache):
    """A cache of the layers that the model's configuration asks for. A row holds its prompt, so all prompts must be of one length: padding
    would enter a running state as if it had been read."""

    is_full = False
    """It grows by itself."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(config=policy.model.config)

    def fan_out(self, prompt_of: Tensor, prompt_lengths: Tensor, room: int) -> None:
        """After the prompts' forward: a row for each entry of `prompt_of` (B,)."""
        self.reorder_cache(prompt_of)

    def keep(self, kept: Tensor, room: int) -> None:
        """Go on with the rows at `kept`."""
        self.reorder_cache(kept)

    def inputs(self) -> dict[str, Any]:
        """What the model's forward needs beside the cache: nothing."""
        return {}

    @contextmanager
    def attention(self, policy: Policy) -> Iterator[None]:
        """The model attends as it always does."""
        yield
