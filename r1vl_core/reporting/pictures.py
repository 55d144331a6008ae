"""Pictures as data: URIs, so that the page needs no other file."""

from __future__ import annotations

import base64
import io

from PIL import Image, UnidentifiedImageError

LARGEST_EMBEDDED = 200_000
"""Bytes; a larger file is embedded as a smaller copy, so that a page of many pictures stays quick to open."""

LONGEST_SIDE = 768
"""Pixels; longest side of such a copy."""

MAX_PIXELS = 50_000_000
"""Pixels; a larger picture is not decoded and not shown."""

_MAGIC = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


def data_uri(image: bytes) -> str:
    """A data: URI of a PNG, JPEG or GIF picture; empty when the bytes are none of these (a page shows no picture then)."""
    image, media = shown(image)
    return f"data:{media};base64,{base64.b64encode(image).decode('ascii')}" if image else ""


def shown(image: bytes) -> tuple[bytes, str]:
    """The picture as a page shows it, with its media type: itself, or a smaller copy; nothing where the bytes are no picture."""
    media = next((media for magic, media in _MAGIC.items() if image.startswith(magic)), None)
    if media is None or len(image) > LARGEST_EMBEDDED:
        return _smaller_copy(image), "image/jpeg"
    return image, media


def _smaller_copy(image: bytes) -> bytes:
    try:
        with Image.open(io.BytesIO(image), formats=("PNG", "JPEG", "WEBP", "GIF", "BMP")) as opened:
            if opened.size[0] * opened.size[1] > MAX_PIXELS:
                return b""
            copy = opened.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError):
        return b""
    copy.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    buffer = io.BytesIO()
    copy.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
