"""What was found in pictures, remembered by content beside the digests of the files: a second curation decodes nothing again."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple
from pathlib import Path

from r1vl_core.data.images import DECODER, ImageContent
from tasks.inputs import DigestCache

_log = logging.getLogger(__name__)

_CREATE = """
CREATE TABLE IF NOT EXISTS images (
    decoder TEXT, max_pixels INTEGER, file_sha256 TEXT,
    width INTEGER, height INTEGER, pixel_sha256 TEXT, phash TEXT, reason TEXT, detail TEXT,
    PRIMARY KEY (file_sha256, max_pixels, decoder)
) WITHOUT ROWID
"""

_RECALL = """
SELECT file_sha256, width, height, pixel_sha256, phash, reason, detail FROM images
WHERE file_sha256 = ? AND max_pixels = ? AND decoder = ?
"""


class StoredImageMemory:
    """An `ImageMemory` (`r1vl_core/data/image_checker.py`) in the database of the digest cache. Only a cache: it may be deleted, or fail.

    What another version of the decoders found is not recalled, so that what a picture holds never depends on when it was first met.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digests = DigestCache(path)

    def digests(self, files: Sequence[Path]) -> Mapping[Path, str]:
        """SHA-256 of each file's bytes, taken anew only where size, time stamps or inode changed; unreadable files are left out."""
        return self._digests.readable(files)

    def recall(self, file_sha256s: Collection[str], max_pixels: int) -> Mapping[str, ImageContent]:
        """What is known of these contents."""
        with self._tolerant("decoding every picture anew"), closing(self._open()) as database:
            found = (database.execute(_RECALL, (digest, max_pixels, DECODER)).fetchone() for digest in file_sha256s)
            return {row[0]: _content(row) for row in found if row is not None}
        return {}

    def remember(self, contents: Sequence[ImageContent], max_pixels: int) -> None:
        """Keep what was found."""
        rows = [(DECODER, max_pixels, *astuple(content)) for content in contents]
        # A perceptual hash is 64 bits without a sign, more than SQLite's integers hold.
        rows = [(*row[:6], f"{row[6]:016x}", *row[7:]) for row in rows]
        if rows:
            with self._tolerant("what was found is not remembered"), closing(self._open()) as database, database:
                database.executemany("REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    @contextmanager
    def _tolerant(self, consequence: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            _log.warning("picture cache %s: %s; %s (delete it to be rid of this)", self.path, error, consequence)

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self.path, timeout=30)
        database.execute(_CREATE)
        return database


def _content(row: tuple[str, int, int, str, str, str, str]) -> ImageContent:
    file_sha256, width, height, pixel_sha256, phash, reason, detail = row
    return ImageContent(file_sha256, width, height, pixel_sha256, int(phash, 16), reason, detail)
