"""Pictures that lie inside records, written to files: Parquet of Hugging Face's `datasets` (`{"bytes", "path"}`), `data:` URIs, base64.

Curation and training read pictures from a folder, each by its path; this makes one. Every record comes out, in its order, broken ones as
they were, so that curation names them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from r1vl_core.config import Source
from r1vl_core.data.elements import Element
from r1vl_core.data.interpretation import is_base64, is_data_uri, is_unicode
from r1vl_core.data.readers import check_source, read_elements

RECORDS, PICTURES = "records.jsonl", "images"
_SUFFIXES = ((b"\x89PNG", ".png"), (b"\xff\xd8\xff", ".jpg"), (b"GIF8", ".gif"), (b"BM", ".bmp"), (b"RIFF", ".webp"))
_BASE64 = re.compile(r"data:[^,;]{0,80}(?:;[^,;]{0,80})*;base64,", re.IGNORECASE)
_LINE_ENDS = str.maketrans("\r\n", "  ")


class Unpacked(NamedTuple):
    """How many records were written, and how many pictures of them lay inside; equal pictures are one file.

    >>> Unpacked(num_records=3, num_pictures=2).num_pictures
    2
    """

    num_records: int
    num_pictures: int


def unpack(file: Path, folder: Path) -> Unpacked:
    """Write `folder/records.jsonl` and `folder/images`, whole or not at all; pictures are not looked at, which is curation's work.

    Raises ValueError when `folder` is there already, or `file` is not or in no known format, OSError.
    """
    if not file.exists():
        raise ValueError(f"{file}: no such file; give the file whose records hold the pictures")
    if folder.exists():
        raise ValueError(f"{folder} exists already; give a new folder")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / PICTURES).mkdir(parents=True)
    try:
        source = Source(name="unpack", path=file, images=partial / PICTURES)
        check_source(source)
        pictures = _Pictures(partial / PICTURES)
        num_records = 0
        with (partial / RECORDS).open("w", encoding="utf-8") as lines:
            for line in _lines(source, pictures):
                lines.write(line + "\n")
                num_records += 1
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Unpacked(num_records, pictures.num_taken)


def _lines(source: Source, pictures: _Pictures) -> Iterator[str]:
    for element in read_elements(source):
        if element.problem is None and (pictured := pictures.taken_out(element.value)) is not element.value:
            yield json.dumps(pictured, default=_described)
        else:
            yield _as_it_was(element)


def _as_it_was(element: Element) -> str:
    raw = element.raw.translate(_LINE_ENDS).strip()
    if not is_unicode(raw):  # bytes that are no UTF-8 cannot be written as such
        raw = raw.encode("utf-8", "backslashreplace").decode("utf-8")
    # An empty line would be no record at all.
    return raw or json.dumps(f"not read: {element.problem}")


class _Pictures:
    """The folder of pictures, named by their content; counts what was taken."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.num_taken = 0

    def taken_out(self, value: Any) -> Any:
        """The same value, each picture inside it replaced by its file's name; the very same object where there is none."""
        if isinstance(value, dict):
            data = value.get("bytes")
            if isinstance(data, bytes) and not value.keys() - {"bytes", "path"}:
                return self._written(data)
            parts = {key: self.taken_out(part) for key, part in value.items()}
            return parts if any(parts[key] is not part for key, part in value.items()) else value
        if isinstance(value, list):
            items = [self.taken_out(part) for part in value]
            return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
        data = value if isinstance(value, bytes) else _decoded(value) if is_data_uri(value) or is_base64(value) else None
        return value if data is None else self._written(data)

    def _written(self, data: bytes) -> str:
        suffix = next((suffix for mark, suffix in _SUFFIXES if data.startswith(mark)), ".bin")
        name = f"{hashlib.sha256(data).hexdigest()}{suffix}"
        path = self._folder / name
        if not path.exists():
            path.write_bytes(data)
        self.num_taken += 1
        return name


def _decoded(text: str) -> bytes | None:
    """The bytes of a base64 `data:` URI, or of base64 alone; None for one that is broken, which stays and is named by curation."""
    head = _BASE64.match(text)
    if head is None and is_data_uri(text):
        return None
    try:
        return base64.b64decode(text[head.end() :] if head else text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _described(value: Any) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)
