"""Perceptual hashes: stable where a picture stays the same to the eye, apart where pictures differ."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from r1vl_core.data.images import decode_image
from r1vl_core.data.perceptual import SAME_PICTURE_BITS, differing_bits, perceptual_hash
from tests.core.data.looks import board, chart, drawing, photo
from tests.core.data.samples import encoded

KINDS = {"board": board, "photo": photo, "chart": chart, "drawing": drawing}
Make = Callable[[int], Image.Image]


def encoded_again(image: Image.Image, kind: str, quality: int) -> Image.Image:
    return decode_image(encoded(image, kind, quality=quality), 1_000_000)


def scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 75": lambda image: encoded_again(image, "JPEG", 75),
    "WebP 60": lambda image: encoded_again(image, "WEBP", 60),
    "half": lambda image: scaled(image, 0.5),
    "larger by a third": lambda image: scaled(image, 4 / 3),
    "double": lambda image: scaled(image, 2),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.85),
    "paler": lambda image: ImageEnhance.Contrast(image).enhance(0.9),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())
def test_a_picture_that_looks_the_same_keeps_its_hash(make: Make, change: Callable[[Image.Image], Image.Image]) -> None:
    for seed in range(8):
        image = make(seed)
        assert differing_bits(perceptual_hash(image), perceptual_hash(change(image))) <= SAME_PICTURE_BITS, seed


@pytest.mark.parametrize(("make", "number"), [(board, 400), (photo, 12), (drawing, 60)], ids=["board", "photo", "drawing"])
def test_other_pictures_of_the_same_kind_are_apart(make: Make, number: int) -> None:
    hashes = [perceptual_hash(make(seed)) for seed in range(number)]
    assert min(differing_bits(one, other) for one, other in itertools.combinations(hashes, 2)) > SAME_PICTURE_BITS


def test_lossless_formats_and_grey_have_the_very_same_hash() -> None:
    image = board(3)
    assert perceptual_hash(encoded_again(image, "PNG", 0)) == perceptual_hash(image)
    grey = drawing(3)
    assert perceptual_hash(grey.convert("L")) == perceptual_hash(grey)


def test_brightness_alone_changes_nothing() -> None:
    pixels = np.random.default_rng(0).integers(40, 200, size=(32, 32, 3), dtype=np.uint8)
    assert perceptual_hash(Image.fromarray(pixels + 30)) == perceptual_hash(Image.fromarray(pixels))


@pytest.mark.parametrize("level", [0, 77, 255])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (333, 17), (2000, 1500)])
def test_a_picture_of_one_colour_has_no_looks(level: int, size: tuple[int, int]) -> None:
    assert perceptual_hash(Image.new("RGB", size, (level, level, level))) == 0


def test_a_hash_is_64_bits_of_lowest_frequencies_row_by_row() -> None:
    """Worked by hand: light to the left is the one horizontal frequency, its odd multiples in turn below and above nothing."""
    left = np.full((32, 32), 0, dtype=np.uint8)
    left[:, :16] = 200
    # frequencies 1 and 5 are positive, 3 and 7 negative, all others nothing; the median is nothing
    assert perceptual_hash(Image.fromarray(left)) == 0b01000100 << 56
