"""Pictures of training records: found inside their folder, decoded whole, measured, and named by their pixels.

Nothing here trusts a file: the path must stay below its root, the format must be one of a few, the size is checked before the
pixels are decoded, and every picture is decoded to its end once, so that no trainer meets a broken one hours later.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import PIL
from PIL import BmpImagePlugin, ExifTags, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin, features

from r1vl_core.data.perceptual import perceptual_hash

# Importing a format's plugin is what makes it known to Pillow.
_PLUGINS = (PngImagePlugin, JpegImagePlugin, WebPImagePlugin, GifImagePlugin, BmpImagePlugin)

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""Formats that are opened; Pillow's others (some of which start programs) are refused."""

DECODER = ", ".join(
    [f"1, Pillow {PIL.__version__}", *(f"{name} {features.version(name)}" for name in ("libjpeg_turbo", "jpg", "webp", "zlib_ng", "zlib"))]
)
"""What decides which pixels a file's bytes become, and what is measured of them: our own revision, and the libraries that decode."""

MAX_FILE_BYTES = 256 * 1024 * 1024
"""Bytes; a larger file is refused before it is read."""

# What Pillow's decoders raise on damaged data, found by damaging files of every format (see the tests).
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)

# EXIF orientation to what sets the picture upright; 1 is upright already.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


MAX_ASPECT_RATIO = 200
"""Longer side over shorter one; Qwen2-VL's image processor refuses a picture beyond it."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What a picture must keep: pixels of its shorter side, and of its whole area.

    >>> ImageLimits(min_side=28, max_pixels=50_000_000).min_side
    28
    """

    min_side: int
    max_pixels: int


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """A picture that decodes: its size in pixels (upright), SHA-256 of the file, and of the RGB pixels, and a hash of its looks.

    >>> CheckedImage(path="1.png", width=56, height=56, file_sha256="ab", pixel_sha256="cd", phash=0x9C3F).width
    56
    """

    path: str
    width: int
    height: int
    file_sha256: str
    pixel_sha256: str
    phash: int
    """64 bits; the Hamming distance of two says how alike the pictures look (`r1vl_core/data/perceptual.py`)."""


@dataclass(frozen=True, slots=True)
class ImageProblem:
    """Why a picture cannot be used. `reason` is image_outside_root, missing_image, broken_image, image_too_large, image_too_small or
    image_too_narrow; `detail` says what is wrong and what to do, and leaves naming the picture to who knows its place.

    >>> ImageProblem(path="../1.png", reason="image_outside_root", detail="'..' in the path").reason
    'image_outside_root'
    """

    path: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class ImageContent:
    """What a file's bytes hold, whoever names it: a picture measured as in `CheckedImage`, or the reason why there is none.

    >>> ImageContent("ab", reason="broken_image", detail="not a picture in a known format").width
    0
    """

    file_sha256: str
    """Empty for a file that was not read."""
    width: int = 0
    height: int = 0
    pixel_sha256: str = ""
    phash: int = 0
    reason: str = ""
    """Empty for a picture."""
    detail: str = ""


class PictureError(ValueError):
    """A picture that cannot be used; `reason` as in `ImageProblem`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def find_image(root: Path, relative: str) -> Path:
    """The file that a record's path names below `root`. Raises PictureError (image_outside_root, missing_image)."""
    parts = PurePosixPath(relative)
    if parts.is_absolute() or os.path.isabs(relative):
        raise PictureError("image_outside_root", "an absolute path; write it relative to the image folder")
    if ".." in parts.parts:
        raise PictureError("image_outside_root", "'..' in the path climbs out of the image folder; write it without")
    try:
        found = Path(os.path.realpath(root / relative))
        is_file = stat.S_ISREG(found.stat().st_mode) if found.is_relative_to(os.path.realpath(root)) else None
    except (OSError, ValueError) as error:
        # ValueError: a NUL or half of a surrogate pair, which no file name can hold.
        raise PictureError("missing_image", _plain(error)) from None
    if is_file is None:
        raise PictureError("image_outside_root", "a link out of the image folder; copy the picture there")
    if not is_file:
        raise PictureError("missing_image", "not a file")
    return found


def load_image(path: Path, max_pixels: int) -> Image.Image:
    """Read a picture that a model can take: upright, RGB, decoded to its end. Raises PictureError naming what is wrong with it."""
    return open_image(_read(path), max_pixels)


def open_image(data: bytes, max_pixels: int) -> Image.Image:
    """Decode a file's bytes to a picture that a model can take. Raises PictureError as `decode_image`, and for its shape
    (image_too_narrow)."""
    image = decode_image(data, max_pixels)
    if problem := _shape_problem(*image.size):
        raise PictureError("image_too_narrow", problem)
    return image


def decode_image(data: bytes, max_pixels: int) -> Image.Image:
    """Decode a file's bytes: upright (EXIF), RGB. Raises PictureError (broken_image, image_too_large)."""
    try:
        with _pillow_at(max_pixels), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise PictureError("image_too_large", f"{image.width} x {image.height} pixels; {_too_large(max_pixels)}")
            image.load()
            return _as_rgb(_upright(image))
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise PictureError("image_too_large", f"it would unpack to a multiple of what is allowed; {_too_large(max_pixels)}") from None
    except _DECODE_ERRORS as error:
        raise PictureError("broken_image", _broken(data, error)) from None


def digest_pixels(image: Image.Image) -> str:
    """SHA-256 of an RGB picture's size and pixels: equal for equal pictures, whatever format they were stored in."""
    assert image.mode == "RGB", image.mode
    digest = hashlib.sha256(f"RGB {image.width} {image.height} ".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


def read_content(path: Path, max_pixels: int) -> ImageContent:
    """Read and decode a file, once for all that is measured; what is wrong with it comes back as a value, never as an exception."""
    try:
        data = _read(path)
    except PictureError as error:
        return ImageContent("", reason=error.reason, detail=error.detail)
    file_sha256 = hashlib.sha256(data).hexdigest()
    try:
        image = decode_image(data, max_pixels)
    except PictureError as error:
        return ImageContent(file_sha256, reason=error.reason, detail=error.detail)
    return ImageContent(file_sha256, image.width, image.height, digest_pixels(image), perceptual_hash(image))


def check_image(root: Path, relative: str, limits: ImageLimits) -> CheckedImage | ImageProblem:
    """Find, decode and measure one picture; what is wrong with it comes back as a value, never as an exception."""
    file = find_or_problem(root, relative)
    return file if isinstance(file, ImageProblem) else hold_against(limits, relative, read_content(file, limits.max_pixels))


def find_or_problem(root: Path, relative: str) -> Path | ImageProblem:
    """`find_image`, with what is wrong as a value."""
    try:
        return find_image(root, relative)
    except PictureError as error:
        return ImageProblem(relative, error.reason, error.detail)


def hold_against(limits: ImageLimits, relative: str, content: ImageContent) -> CheckedImage | ImageProblem:
    """A file's content as the picture that a record names `relative`."""
    width, height = content.width, content.height
    if content.reason:
        return ImageProblem(relative, content.reason, content.detail)
    if min(width, height) < limits.min_side:
        return ImageProblem(relative, "image_too_small", f"{width} x {height} pixels; a side needs {limits.min_side}")
    if problem := _shape_problem(width, height):
        return ImageProblem(relative, "image_too_narrow", problem)
    return CheckedImage(relative, width, height, content.file_sha256, content.pixel_sha256, content.phash)


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise PictureError("image_too_large", f"{size} bytes; the limit is {MAX_FILE_BYTES}: save it smaller")
        return path.read_bytes()
    except FileNotFoundError:
        raise PictureError("missing_image", "no such file") from None
    except OSError as error:
        raise PictureError("broken_image", _plain(error)) from None


@contextmanager
def _pillow_at(max_pixels: int) -> Iterator[None]:
    """Pillow's own limit must not stand below the user's; and it only warns, so the caller compares the size itself."""
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, max_pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _upright(image: Image.Image) -> Image.Image:
    # Not Pillow's exif_transpose: it writes the metadata anew, which fails for damaged fields that do not matter here.
    orientation = image.getexif().get(ExifTags.Base.Orientation)
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow clips 16 bits to 8, which turns most such pictures white.
        image = image.point(lambda value: value / 256).convert("L")
    # A picture in RGB already would only be copied, for a tenth of the time that decoding it takes.
    return image if image.mode == "RGB" else image.convert("RGB")


def _shape_problem(width: int, height: int) -> str | None:
    ratio = max(width, height) / min(width, height)
    if ratio < MAX_ASPECT_RATIO:
        return None
    return f"{width} x {height} pixels; one side is {ratio:.0f} times the other, and a model takes less than {MAX_ASPECT_RATIO}: crop it"


def _too_large(max_pixels: int) -> str:
    return f"the limit is {max_pixels} pixels: scale it down"


def _broken(data: bytes, error: Exception) -> str:
    if not data:
        return "not a picture but an empty file; copy it anew"
    # Pillow names the buffer by its address, which changes from run to run.
    if "cannot identify image file" in str(error):
        return f"not a picture in a known format; save it as {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    return f"a damaged picture ({_plain(error)}); copy or save it anew"


def _plain(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
