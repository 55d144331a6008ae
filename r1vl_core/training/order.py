"""The order in which a training run sees its data, decided by the seed alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(slots=True)
class Stream:
    """The endless stream of epochs that a run draws its questions from; `position` is all the state there is, and a checkpoint holds it.

    >>> stream = Stream(num_items=5, seed=0)
    >>> stream.take(3) + stream.take(4) == draw(5, 0, 7, seed=0), stream.position
    (True, 7)
    """

    num_items: int
    seed: int
    position: int = 0

    def take(self, count: int) -> list[int]:
        """The next `count` items."""
        start, self.position = self.position, self.position + count
        return draw(self.num_items, start, self.position, seed=self.seed)


def draw(num_items: int, start: int, stop: int, *, seed: int) -> list[int]:
    """Items `start` to `stop` of the endless stream of epochs, each a fresh permutation of `range(num_items)`.

    Position in the stream is all the state there is: a resumed run asks for the same places and gets the same items.

    >>> sorted(draw(5, 0, 5, seed=0))
    [0, 1, 2, 3, 4]
    >>> draw(5, 0, 8, seed=0)[5:] == draw(5, 5, 8, seed=0)
    True
    """
    items: list[int] = []
    for epoch in range(start // num_items, -(-stop // num_items)):
        permutation = np.random.default_rng([seed, epoch]).permutation(num_items).tolist()
        first = epoch * num_items
        items += permutation[max(0, start - first) : stop - first]
    return items


def subset(num_items: int, size: int, *, seed: int) -> list[int]:
    """`size` of `range(num_items)` drawn at random, in ascending order; all of them when `size` is 0 or larger than that.

    >>> subset(4, 0, seed=0)
    [0, 1, 2, 3]
    """
    if size == 0 or size >= num_items:
        return list(range(num_items))
    return sorted(np.random.default_rng([seed, 2**32 - 1]).permutation(num_items)[:size].tolist())
