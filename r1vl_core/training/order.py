"""The order in which a training run sees its data, decided by the seed alone."""

from __future__ import annotations

import numpy as np


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
