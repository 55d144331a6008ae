"""Pictures: where they may lie, what is wrong with them, and that equal pixels are equal pictures."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import socket
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from r1vl_core.data.image_checker import ImageChecker
from r1vl_core.data.images import (
    CheckedImage,
    ImageLimits,
    ImageProblem,
    PictureError,
    check_image,
    decode_image,
    digest_pixels,
    find_image,
    load_image,
)
from r1vl_core.data.perceptual import perceptual_hash
from tests.core.data.samples import Folder, bomb_png, encoded, picture

LIMITS = ImageLimits(min_side=28, max_pixels=1_000_000)


def problem(folder: Folder, relative: str) -> str:
    """The reason a picture is refused."""
    result = check_image(folder.images, relative, LIMITS)
    assert isinstance(result, ImageProblem), result
    assert result.path == relative
    assert result.detail.isascii()
    return result.reason


def test_a_good_picture(folder: Folder) -> None:
    data = encoded(picture(size=(40, 30)))
    checked = check_image(folder.images, folder.picture("sub/a b.png", data), LIMITS)
    image = picture(size=(40, 30))
    assert checked == CheckedImage("sub/a b.png", 40, 30, hashlib.sha256(data).hexdigest(), digest_pixels(image), perceptual_hash(image))


def test_paths_that_leave_the_folder(folder: Folder, tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(encoded(picture()))
    inside = folder.images / folder.picture("sub/in.png")
    (folder.images / "link.png").symlink_to(outside)
    (folder.images / "up").symlink_to(tmp_path)
    climbing = ("../outside.png", "sub/../../outside.png", "sub/../sub/in.png")
    for relative in (*climbing, str(outside), str(inside), "link.png", "up/outside.png"):
        assert problem(folder, relative) == "image_outside_root", relative


def test_a_link_that_stays_inside_is_followed(folder: Folder) -> None:
    folder.picture("sub/in.png")
    (folder.images / "link.png").symlink_to("sub/in.png")
    assert find_image(folder.images, "link.png").name == "in.png"
    assert isinstance(check_image(folder.images, "./link.png", LIMITS), CheckedImage)


def test_the_root_itself_may_be_a_link(folder: Folder, tmp_path: Path) -> None:
    folder.picture("a.png")
    (tmp_path / "other").symlink_to(folder.images)
    assert isinstance(check_image(tmp_path / "other", "a.png", LIMITS), CheckedImage)


def test_missing_pictures(folder: Folder) -> None:
    (folder.images / "loop.png").symlink_to("loop.png")
    (folder.images / "dangling.png").symlink_to("nowhere.png")
    (folder.images / "folder.png").mkdir()
    os.mkfifo(folder.images / "pipe.png")
    names = [
        "none.png",
        "",
        ".",
        "folder.png",
        "loop.png",
        "dangling.png",
        "pipe.png",
        "a\0.png",
        "\ud800.png",
        "x" * 5000,
        "http://host/a.png",
    ]
    assert {name: problem(folder, name) for name in names} == dict.fromkeys(names, "missing_image")


def test_a_socket_is_no_picture(tmp_path: Path, folder: Folder) -> None:
    # Bound through a short relative name: a socket's path has a limit of about a hundred bytes.
    here = Path.cwd()
    os.chdir(folder.images)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("socket.png")
            assert problem(folder, "socket.png") == "missing_image"
    finally:
        os.chdir(here)


PNG, JPEG = encoded(picture()), encoded(picture(), "JPEG")
BROKEN = {
    "zero bytes": b"",
    "text": b"hello",
    "html": b"<html>not found</html>",
    "half a PNG": PNG[: len(PNG) // 2],
    "half a JPEG": JPEG[: len(JPEG) // 2],
    "PNG without its last pixels": PNG[:-40],
    "JPEG header alone": JPEG[:20],
    "PNG with a damaged chunk": PNG[:60] + b"\xff\xff\xff" + PNG[63:],
    "EPS, which would start a program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n",
    "TIFF": encoded(picture(), "TIFF"),
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>',
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_broken_pictures(folder: Folder, data: bytes) -> None:
    assert problem(folder, folder.picture("a.png", data)) == "broken_image"


@pytest.mark.parametrize("shape", [(1001, 1000), (14_000, 14_000), (60_000, 60_000)])
def test_bombs_are_refused_before_they_are_decoded_and_without_a_warning(folder: Folder, shape: tuple[int, int]) -> None:
    name = folder.picture("a.png", bomb_png(*shape))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert problem(folder, name) == "image_too_large"


def test_a_limit_above_pillows_own_counts(folder: Folder) -> None:
    name = folder.picture("a.png", bomb_png(10_000, 9_500))
    # In a process of its own: Pillow's limit is one for the whole process.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        result = pool.submit(check_image, folder.images, name, ImageLimits(28, 100_000_000)).result()
    assert isinstance(result, ImageProblem)
    assert result.reason == "broken_image"  # decoded, and found to lack its pixels


def test_small_sides(folder: Folder) -> None:
    assert problem(folder, folder.picture("a.png", encoded(picture(size=(400, 27))))) == "image_too_small"
    assert problem(folder, folder.picture("b.png", encoded(picture(size=(20, 20))))) == "image_too_small"


def test_a_picture_of_a_shape_no_model_takes_is_named(folder: Folder) -> None:
    assert problem(folder, folder.picture("a.png", encoded(picture(size=(28 * 200, 28))))) == "image_too_narrow"
    assert isinstance(check_image(folder.images, folder.picture("c.png", encoded(picture(size=(28, 28)))), LIMITS), CheckedImage)


@pytest.mark.parametrize(("orientation", "turn"), [(3, 180), (6, 270), (8, 90)])
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_pictures_are_set_upright(orientation: int, turn: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = picture(size=(40, 30))
    data = encoded(image, kind, exif=exif, lossless=True)
    assert digest_pixels(decode_image(data, 10_000)) == digest_pixels(image.rotate(turn, expand=True))


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "LA", "1", "CMYK"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = picture(mode="L" if mode == "LA" else "RGB").convert(mode)
    decoded = decode_image(encoded(image, "JPEG" if mode == "CMYK" else "PNG"), 10_000)
    assert (decoded.mode, decoded.size) == ("RGB", image.size)
    if mode != "CMYK":
        assert decoded.tobytes() == image.convert("RGB").tobytes()


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    grey = picture(mode="L")
    decoded = decode_image(encoded(grey.convert("I").point(lambda value: value * 257).convert("I;16")), 10_000)
    assert decoded.tobytes() == grey.convert("RGB").tobytes()


def test_equal_pixels_in_other_formats_are_the_same_picture() -> None:
    png, pale, bmp = encoded(picture(), "PNG"), encoded(picture(), "PNG", compress_level=1), encoded(picture(), "BMP")
    files = [png, pale, bmp, encoded(picture(), "WEBP", lossless=True)]
    assert len(set(files)) == 4
    assert len({digest_pixels(decode_image(data, 10_000)) for data in files}) == 1
    assert digest_pixels(picture(1)) != digest_pixels(picture(2))


def test_the_shape_is_part_of_the_digest() -> None:
    assert digest_pixels(Image.new("RGB", (8, 2))) != digest_pixels(Image.new("RGB", (2, 8)))


def test_damaged_files_of_every_format_never_escape() -> None:
    rng = random.Random(0)
    kinds = [encoded(picture(), kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP")]
    reasons = set()
    for _ in range(3000):
        data = bytearray(rng.choice(kinds))
        for _ in range(rng.choice((1, 3, 10))):
            data[rng.randrange(len(data) if rng.random() < 0.5 else 100)] = rng.randrange(256)
        try:
            decode_image(bytes(data[: rng.randrange(len(data))] if rng.random() < 0.2 else data), 1_000_000)
        except PictureError as error:
            reasons.add(error.reason)
    assert reasons == {"broken_image", "image_too_large"}


def test_load_image(folder: Folder) -> None:
    name = folder.picture("a.png")
    assert load_image(folder.images / name, 10_000).tobytes() == picture().tobytes()
    with pytest.raises(ValueError, match=r"missing_image: b\.png: no such file"):
        load_image(folder.images / "b.png", 10_000)
    with pytest.raises(ValueError, match="image_too_large: 32 x 32 pixels; the limit is 1000"):
        load_image(folder.images / name, 1000)


def test_a_pool_gives_the_same_in_the_same_order(folder: Folder) -> None:
    names = [folder.picture(f"{i}.png", PNG[:50] if i % 7 == 3 else None, seed=i) for i in range(40)]
    pictures = [(folder.images, name) for name in names * (ImageChecker.SHARD // len(names) + 1)]
    with ImageChecker(LIMITS, num_workers=1) as checker:
        alone = checker.check(pictures)
    with ImageChecker(LIMITS, num_workers=2) as checker:
        pooled = checker.check(pictures)
        assert checker.check([]) == []
    assert alone == pooled
    assert [one.path for one in pooled] == [name for _, name in pictures]
