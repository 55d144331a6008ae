"""Texts that are nearly the same: MinHash finds the few that may be, and their pieces are then compared one by one.

Two texts are nearly the same when their numbers are the same and the sets of their five-letter pieces overlap by the similarity wanted
(Jaccard). So what MinHash finds by chance does not count; what it misses is rare: at a similarity of 0.8, one pair in a thousand.
Rensa makes the hashes, thirty times faster than datasketch and as exact (tests/benchmarks/README.md).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from rensa import RMinHash

from r1vl_core.data.wording import normalise

NUM_BANDS = 10
"""Bands of a sketch; two texts that share one are compared."""

_BAND_ROWS = 3
_PIECE_LETTERS = 5
_SEED = 20_260_101
_FEW = 8
_ESTIMATE_SLACK = 0.35
# Odd multipliers that spread three numbers of 32 bits over 64.
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
_ODD = np.uint64(0xD6E8FEB86659FD93)
_BAND_STEP = np.uint64(0xA0761D6478BD642F)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def sketch(text: str) -> bytes:
    """A text's MinHash, to find texts near it: 30 numbers of 4 bytes, three a band."""
    hashes = RMinHash(num_perm=NUM_BANDS * _BAND_ROWS, seed=_SEED)
    hashes.update(list(pieces(normalise(text))))
    return np.array(hashes.digest(), np.uint32).tobytes()


def similarity(one: str, other: str) -> float:
    """Share of the five-letter pieces that two texts have in common; 0 where their numbers differ.

    >>> similarity("How long is AB?", "how  long is AB ?") > 0.7, similarity("What is 3 + 4?", "What is 3 + 5?")
    (True, 0.0)
    """
    one, other = normalise(one), normalise(other)
    if _NUMBER.findall(one) != _NUMBER.findall(other):
        return 0.0
    a, b = pieces(one), pieces(other)
    return len(a & b) / len(a | b)


def pieces(text: str) -> set[str]:
    """All runs of five characters; of a shorter text, the text."""
    return {text[at : at + _PIECE_LETTERS] for at in range(max(len(text) - _PIECE_LETTERS + 1, 1))}


class NearTexts:
    """Texts by their sketches: each distinct text has a number, counted from 0, and finds those near it."""

    def __init__(self, least_similarity: float) -> None:
        self._least = least_similarity
        self._texts: list[str] = []
        self._numbers: dict[str, int] = {}
        self._sketches = np.zeros((1024, NUM_BANDS * _BAND_ROWS), np.uint32)
        # A band's content to the number of the text that has it, or to a list of them.
        self._bands: dict[int, int | list[int]] = {}

    def near(self, text: str, hashes: bytes) -> list[int]:
        """Numbers of the texts added so far that are nearly this one, in ascending order."""
        normalised = normalise(text)
        same = self._numbers.get(normalised)
        found = {number for key in _keys(normalised, hashes) for number in self._in_band(key) if number != same}
        near = [number for number in self._likely(found, hashes) if similarity(text, self._texts[number]) >= self._least]
        return sorted(near if same is None else [*near, same])

    def add(self, text: str, hashes: bytes) -> int:
        """The text's number; the same for a text that differs in nothing but case and spacing."""
        normalised = normalise(text)
        if normalised in self._numbers:
            return self._numbers[normalised]
        number = self._numbers[normalised] = len(self._texts)
        self._texts.append(text)
        if number == len(self._sketches):
            self._sketches = np.concatenate([self._sketches, np.zeros_like(self._sketches)])
        self._sketches[number] = np.frombuffer(hashes, np.uint32)
        for key in _keys(normalised, hashes):
            there = self._bands.setdefault(key, number)
            if isinstance(there, list):
                there.append(number)
            elif there != number:
                self._bands[key] = [there, number]
        return number

    def _in_band(self, key: int) -> Sequence[int]:
        there = self._bands.get(key, ())
        return (there,) if isinstance(there, int) else there

    def _likely(self, found: set[int], hashes: bytes) -> Iterable[int]:
        if len(found) <= _FEW:
            return found
        # Many texts made after one pattern: the estimate, good to about 0.1, spares comparing most of them.
        candidates = np.array(sorted(found))
        estimates = (self._sketches[candidates] == np.frombuffer(hashes, np.uint32)).mean(axis=1)
        return candidates[estimates >= self._least - _ESTIMATE_SLACK].tolist()  # type: ignore[no-any-return]


def _keys(normalised: str, hashes: bytes) -> list[int]:
    """One key a band. The text's numbers are part of it: texts that differ in them are never near, however many share a pattern."""
    bands = np.frombuffer(hashes, np.uint32).reshape(NUM_BANDS, _BAND_ROWS).astype(np.uint64)
    numbers = zlib.crc32(" ".join(_NUMBER.findall(normalised)).encode())
    mixed = (bands * _MIX).sum(axis=1, dtype=np.uint64) * _ODD + np.uint64(numbers) + np.arange(NUM_BANDS, dtype=np.uint64) * _BAND_STEP
    return mixed.tolist()  # type: ignore[no-any-return]
