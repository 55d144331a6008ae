"""Pictures of records, checked by the batch: found, decoded in workers, once for each content, and held against the limits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from r1vl_core.data.images import (
    CheckedImage,
    ImageContent,
    ImageLimits,
    ImageProblem,
    find_or_problem,
    hold_against,
    read_content,
)
from r1vl_core.data.shards import MapShards, Processes, cut


class ImageMemory(Protocol):
    """What earlier checks found, by the files' content and by `max_pixels`, without which a large picture is not decoded."""

    def digests(self, files: Sequence[Path]) -> Mapping[Path, str]:
        """SHA-256 of each file's bytes; a file that cannot be read is left out."""
        ...

    def recall(self, file_sha256s: Collection[str], max_pixels: int) -> Mapping[str, ImageContent]:
        """What is known of these contents."""
        ...

    def remember(self, contents: Sequence[ImageContent], max_pixels: int) -> None:
        """Keep what was found."""
        ...


class ImageChecker:
    """Checks pictures, in a pool of `num_workers` processes or through another `map_shards`; a context manager.

    Files that `memory` knows are not decoded, and of several with the same bytes only one is. What comes back depends neither on
    the memory nor on the workers.
    """

    SHARD = 128
    """Pictures; about a third of a second of work, so that handing it over costs nothing beside it. A batch no larger stays here."""

    def __init__(
        self, limits: ImageLimits, num_workers: int = 1, *, memory: ImageMemory | None = None, map_shards: MapShards | None = None
    ) -> None:
        self._limits = limits
        self._memory = memory
        self._processes = Processes(num_workers)
        self._map_shards = map_shards or self._processes.map

    def __enter__(self) -> ImageChecker:
        return self

    def __exit__(self, *error: object) -> None:
        self._processes.__exit__(*error)

    def check(self, pictures: Sequence[tuple[Path, str]]) -> list[CheckedImage | ImageProblem]:
        """One result for each (root, relative path), in their order."""
        files = [find_or_problem(root, relative) for root, relative in pictures]
        contents = self._contents(list(dict.fromkeys(file for file in files if isinstance(file, Path))))
        return [
            file if isinstance(file, ImageProblem) else hold_against(self._limits, relative, contents[file])
            for file, (_, relative) in zip(files, pictures, strict=True)
        ]

    def _contents(self, files: list[Path]) -> dict[Path, ImageContent]:
        if self._memory is None:
            return dict(zip(files, self._read(files), strict=True))
        digests = self._memory.digests(files)
        known = dict(self._memory.recall(set(digests.values()), self._limits.max_pixels))
        # One file for each content nobody knows; one whose digest nobody could take is read as well, to say what is wrong with it.
        unknown = {digests.get(file, str(file)): file for file in files if digests.get(file) not in known}
        fresh = list(self._read(list(unknown.values())))
        self._memory.remember([content for content in fresh if content.file_sha256], self._limits.max_pixels)
        by_file = dict(zip(unknown.values(), fresh, strict=True))
        known |= {content.file_sha256: content for content in fresh}
        # Neither: its digest was that of another file, which has changed since.
        return {
            file: by_file.get(file) or known.get(digests.get(file, "")) or read_content(file, self._limits.max_pixels) for file in files
        }

    def _read(self, files: Sequence[Path]) -> Iterator[ImageContent]:
        shards = self._map_shards(partial(_read_contents, max_pixels=self._limits.max_pixels), cut(files, self.SHARD))
        return (content for shard in shards for content in shard)


def _read_contents(files: Sequence[Path], max_pixels: int) -> list[ImageContent]:
    return [read_content(file, max_pixels) for file in files]
