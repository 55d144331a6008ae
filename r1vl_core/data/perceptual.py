"""Perceptual hashes: pictures that look alike have hashes that differ in few bits, however they were encoded, scaled or lit.

The hash is that of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), section 3.2.1: the signs of
the lowest frequencies of a small grey picture. All arithmetic after Pillow's scaling is on integers, so that every machine computes
the same hash.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SAME_PICTURE_BITS = 4
"""Hashes that differ in at most so many bits are taken for one picture.

Encoding again (JPEG 40 to 75, WebP 60), halving, doubling and 15 % less or 10 % more light change 0 to 6 bits, 0 or 2 as a rule; two boards
of the bundled world, drawn at random, differ in 8 bits at least and 30 as a rule (`python tests/benchmarks/pictures.py looks`). One
hash alone proves little all the same: a board with one other digit, or a chart with one other number, may lie within these bits."""

_SIDE = 32
_FREQUENCIES = 8

# The DCT-II's lowest frequencies, in 12-bit fixed point.
_COSINES = np.rint(4096 * np.cos(np.pi * np.outer(np.arange(_FREQUENCIES), 2 * np.arange(_SIDE) + 1) / (2 * _SIDE))).astype(np.int64)


def perceptual_hash(image: Image.Image) -> int:
    """The 64-bit hash of an upright picture (mode RGB or L), as an integer from 0 to 2**64 - 1; 0 for a picture of one colour.

    >>> perceptual_hash(Image.new("L", (40, 30), 128))
    0
    """
    assert image.mode in ("RGB", "L"), image.mode
    # Triangles, not boxes: a box's edge falls on other pixels at another scale. Pictures much larger are reduced to within a factor of
    # two first, which costs little exactness and makes them three times as fast.
    small = image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0).convert("L")
    frequencies = _frequencies(np.asarray(small, dtype=np.int64))
    # Compared with their median: a factor on all of them (contrast) changes nothing, nor does a summand (brightness), which is not in them.
    bits = frequencies > np.median(frequencies)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def differing_bits(one: int, other: int) -> int:
    """Hamming distance of two hashes, 0 to 64.

    >>> differing_bits(0b1011, 0b0010)
    2
    """
    return (one ^ other).bit_count()


def _frequencies(grey: NDArray[np.int64]) -> NDArray[np.int64]:
    # The mean is taken off in integers (times the number of pixels), so that a picture of one colour has no frequency at all.
    without_mean = grey * grey.size - grey.sum()
    return (_COSINES @ without_mean @ _COSINES.T).ravel()
