"""What is done when memory runs out: compute at most half as much at once, redo what was lost, go on.

What is computed at once decides how fast a step is, never what it comes to: neither a loss nor a sampled path depends on its company.
So each process halves on its own, without a word to the others.
"""

from __future__ import annotations

import gc
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch

from r1vl_core.policy.model import Policy, Prompt
from r1vl_core.policy.rollout import Rollout, generate
from r1vl_core.policy.sharding import whole

T = TypeVar("T")
R = TypeVar("R")

ALL_ROWS = 2**31
"""Rows decoded at once, before memory has ever run out: as many as there are."""

logger = logging.getLogger(__name__)


class GradientSpoiled(torch.OutOfMemoryError):
    """Memory ran out within a backward pass: what had been added to the gradient by then is gone with the rest of it."""


@dataclass(slots=True)
class Limit:
    """How much is computed at once, in `unit`s. `cure` is for whoever cannot even compute one path.

    >>> Limit(2048, "tokens of a micro-batch", "use a larger GPU").num_halved
    0
    """

    value: int
    unit: str
    cure: str
    num_halved: int = 0
    fixed: bool = False
    """Not to be halved: a sharded forward is one of all processes, who would wait for the pieces of this one."""

    def halve(self, size: int, reason: str) -> None:
        """Something of this size did not fit: half of it is the limit from now on, unless the limit is lower already."""
        before, self.value = self.value, min(self.value, size) // 2
        self.num_halved += 1
        was = f" instead of {before:,}" if before < ALL_ROWS else ""
        logger.warning(
            "out of memory: from now on at most %s %s at once%s; what was lost is computed again, the result is the same (%s)",
            f"{self.value:,}",
            self.unit,
            was,
            reason,
        )


class Room(NamedTuple):
    """The limits of one process: `tokens` of a micro-batch, `rows` decoded."""

    tokens: Limit
    rows: Limit

    @property
    def num_halved(self) -> int:
        """How often either has been halved."""
        return self.tokens.num_halved + self.rows.num_halved


def make_room(token_budget: int, *, longest: str, is_sharded: bool = False) -> Room:
    """The limits a run starts with; `longest` names the setting that decides how long a path can be."""
    cure = f"lower {longest} or max_pixels, or use a device with more memory"
    tokens = Limit(token_budget, "tokens in a micro-batch", f"lower R1VL_TOKEN_BUDGET, or {cure}" if is_sharded else cure, fixed=is_sharded)
    return Room(tokens, Limit(ALL_ROWS, "rows decoded", cure))


def in_pieces(
    items: Iterable[T], compute: Callable[[T], R], limit: Limit, size: Callable[[T], int], split: Callable[[T, int], Sequence[T]]
) -> list[R]:
    """`compute` of every item, in order, of smaller pieces where memory runs out; the results of the pieces take the item's place.

    `split(item, n)` cuts an item into pieces of size n at most, or into one that is larger when it holds a single path. A compute that
    raises GradientSpoiled has undone those before it, so they are computed again too. Raises ValueError when a single path does not fit,
    or a limit that is fixed.
    """
    waiting, done = deque(items), list[T]()
    results: list[R] = []
    while waiting:
        item = waiting.popleft()
        if size(item) > limit.value and len(parts := split(item, limit.value)) > 1:
            waiting.extendleft(reversed(parts))
            continue
        try:
            results.append(compute(item))
            done.append(item)
            continue
        except torch.OutOfMemoryError as error:  # leaving this block lets go of the tensors that its traceback holds
            reason, spoiled = str(error).split("\n")[0], isinstance(error, GradientSpoiled)
        free()
        if limit.fixed:
            raise ValueError(f"out of memory, and a sharded policy cannot compute less at once by itself ({reason}); {limit.cure}")
        if len(split(item, size(item) // 2)) == 1:
            raise ValueError(f"not even one path fits into memory ({size(item):,} {limit.unit}; {reason}); {limit.cure}")
        limit.halve(size(item), reason)
        waiting.appendleft(item)
        if spoiled:
            waiting.extendleft(reversed(done))
            done, results = [], []
    return results


def free() -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@dataclass(frozen=True, slots=True)
class _Rows:
    """Responses `first_sample` on, `num_samples` of them, to the prompts at `indices`."""

    indices: range
    first_sample: int
    num_samples: int

    def __len__(self) -> int:
        return len(self.indices) * self.num_samples

    def split(self, num_rows: int) -> list[_Rows]:
        """Whole groups where they fit, else parts of one."""
        if len(self.indices) > 1:
            size = max(1, num_rows // self.num_samples)
            return [_Rows(self.indices[at : at + size], self.first_sample, self.num_samples) for at in range(0, len(self.indices), size)]
        stop, size = self.first_sample + self.num_samples, max(1, num_rows)
        return [_Rows(self.indices, at, min(size, stop - at)) for at in range(self.first_sample, stop, size)]


def generate_in_room(
    room: Room,
    policy: Policy,
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int,
    num_samples: int = 1,
    temperature: float | None = None,
    seeds: Sequence[tuple[int, ...]] = (),
    shared: bool = True,
) -> list[Rollout]:
    """`rollout.generate`, of fewer rows at once when memory is short: the same rollouts in the same order. Raises ValueError.

    A sharded policy is gathered for all of it: every process calls it equally often, be it without a prompt.
    """

    def decode(rows: _Rows) -> list[Rollout]:
        return generate(
            policy,
            [prompts[index] for index in rows.indices],
            max_new_tokens=max_new_tokens,
            num_samples=rows.num_samples,
            first_sample=rows.first_sample,
            temperature=temperature,
            seeds=[seeds[index] for index in rows.indices] if seeds else (),
            shared=shared,
        )

    everything = [_Rows(range(len(prompts)), 0, num_samples)] if prompts else []
    with whole(policy.model):
        return [rollout for part in in_pieces(everything, decode, room.rows, len, _Rows.split) for rollout in part]
