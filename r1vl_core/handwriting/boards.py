"""Boards of real handwritten digits: what they hold and how they look.

The digits are scikit-learn's `load_digits`: 1,797 images of 8x8 grey levels by 43 writers (E. Alpaydin, C. Kaynak, "Optical
Recognition of Handwritten Digits", UCI Machine Learning Repository, CC BY 4.0). They are split by source image before any board is
made, so that no held-out digit is ever seen in training.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

Split = Literal["train", "heldout"]

CELL_PIXELS = 28
"""Side of a cell: one merged visual token of a Qwen2-VL with 14-pixel patches."""

COLOURS = {"red": (250, 150, 140), "blue": (150, 180, 250), "green": (150, 220, 150), "yellow": (245, 230, 120)}
"""Background of a coloured cell, RGB; every other cell is near white."""

_PLAIN = (246, 246, 242)
_INK = (28, 28, 36)
_HELDOUT_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Board:
    """A square board, row by row. `glyphs` are indices into `load_digits`, `colours` a name or "" per cell.

    >>> board = Board(size=2, glyphs=(0, 1, 2, 3), digits=(0, 1, 2, 3), colours=("red", "", "", "blue"))
    >>> board.row(1), board.column(1), board.coloured("blue")
    ((0, 1), (0, 2), 3)
    """

    size: int
    glyphs: tuple[int, ...]
    digits: tuple[int, ...]
    colours: tuple[str, ...]

    def row(self, number: int) -> tuple[int, ...]:
        """Digits of a row, counted from 1."""
        return self.digits[(number - 1) * self.size : number * self.size]

    def column(self, number: int) -> tuple[int, ...]:
        """Digits of a column, counted from 1."""
        return self.digits[number - 1 :: self.size]

    def coloured(self, colour: str) -> int:
        """The digit on the cell of that colour."""
        return self.digits[self.colours.index(colour)]

    def transcription(self) -> str:
        """The board in words, a line a row: colour (where there is one) and digit of each cell."""
        lines = []
        for number in range(1, self.size + 1):
            cells = zip(self.colours[(number - 1) * self.size : number * self.size], self.row(number), strict=True)
            lines.append(f"Row {number}: " + " ".join(f"{colour} {digit}".strip() for colour, digit in cells) + ".")
        return "\n".join(lines)


@functools.cache
def glyph_indices(split: Split) -> tuple[int, ...]:
    """Indices of one side of the fixed 80/20 split of the 1,797 source images."""
    order = np.random.default_rng(20250312).permutation(len(_digit_images()[1]))
    num_heldout = round(len(order) * _HELDOUT_SHARE)
    chosen = order[:num_heldout] if split == "heldout" else order[num_heldout:]
    return tuple(sorted(int(index) for index in chosen))


def draw_board(rng: np.random.Generator, size: int, split: Split) -> Board:
    """A random board: every cell any glyph of the split; four cells carry one colour each."""
    pool = glyph_indices(split)
    glyphs = tuple(int(pool[i]) for i in rng.integers(len(pool), size=size * size))
    colours = [""] * (size * size)
    for colour, cell in zip(COLOURS, rng.permutation(size * size), strict=False):
        colours[int(cell)] = colour
    labels = _digit_images()[1]
    return Board(size, glyphs, tuple(int(labels[glyph]) for glyph in glyphs), tuple(colours))


def render_board(board: Board, rng: np.random.Generator) -> Image.Image:
    """Picture of a board, RGB, 28 pixels a cell; each digit sits up to two pixels off the centre."""
    side = board.size * CELL_PIXELS
    picture = np.empty((side, side, 3), dtype=np.float32)
    for cell, (glyph, colour) in enumerate(zip(board.glyphs, board.colours, strict=True)):
        down, right = divmod(cell, board.size)
        paper = np.asarray(COLOURS.get(colour, _PLAIN), dtype=np.float32)
        ink = _shifted(_large_glyph(glyph), rng)[..., None]
        tile = paper * (1 - ink) + np.asarray(_INK, dtype=np.float32) * ink
        picture[down * CELL_PIXELS : (down + 1) * CELL_PIXELS, right * CELL_PIXELS : (right + 1) * CELL_PIXELS] = tile
    return Image.fromarray(picture.round().astype(np.uint8), "RGB")


@functools.cache
def _digit_images() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    bunch = load_digits()
    return bunch.images, bunch.target


@functools.cache
def _large_glyph(glyph: int) -> NDArray[np.float32]:
    grey = (_digit_images()[0][glyph] * (255 / 16)).round().astype(np.uint8)
    large = Image.fromarray(grey, "L").resize((24, 24), Image.Resampling.BICUBIC)
    return np.pad(np.asarray(large, dtype=np.float32) / 255, 2)


def _shifted(ink: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    down, right = (int(offset) for offset in rng.integers(-2, 3, size=2))
    return np.roll(ink, (down, right), axis=(0, 1))
