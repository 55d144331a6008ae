"""Texts that are nearly the same: MinHash finds the few that may be, and their pieces are then compared one by one.

Two texts are nearly the same when their numbers are the same and the sets of their five-letter pieces overlap by the similarity wanted
(Jaccard). So what MinHash finds by chance does not count; what it misses is rare: at a similarity of 0.8, one pair in a thousand.
Rensa makes the hashes, thirty times faster than datasketch and as exact (tests/benchmarks/README.md).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

NUM_BANDS = 10
"""Bands of a sketch; two texts that share one are compared."""

_BAND_ROWS = 3
_NUM_HASHES = NUM_BANDS * _BAND_ROWS
_PIECE_LETTERS = 5
_SEED = 20_260_101
_FEW = 8
_ESTIMATE_SLACK = 0.35
# Odd multipliers that spread three numbers of 32 bits over 64.
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
_ODD = np.uint64(0xD6E8FEB86659FD93)
_BAND_STEP = np.uint64(0xA0761D6478BD642F)
_KEYS = struct.Struct(f"={NUM_BANDS}Q")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def sketch(text: str) -> bytes:
    """What finds texts near a (normalised) one: the 30 numbers of its MinHash, and a key for each three of them."""
    return sketches([text])[0]


def sketches(texts: Sequence[str]) -> list[bytes]:
    """The `sketch` of each text; of many together a text takes half the time."""
    matrix = RMinHash.digest_matrix_from_token_sets(_pieces_of_all(texts), _NUM_HASHES, _SEED)
    digests = np.array(matrix.to_rows(), np.uint32).reshape(-1, _NUM_HASHES)
    # A text's numbers are part of each key: texts that differ in them are never near, however many are made after one pattern.
    numbers = np.array([zlib.crc32(" ".join(_NUMBER.findall(text)).encode()) for text in texts], np.uint64)
    bands = digests.reshape(-1, NUM_BANDS, _BAND_ROWS).astype(np.uint64)
    keys = (bands * _MIX).sum(axis=2, dtype=np.uint64) * _ODD + numbers[:, None] + np.arange(NUM_BANDS, dtype=np.uint64) * _BAND_STEP
    return [digest.tobytes() + key.tobytes() for digest, key in zip(digests, keys, strict=True)]


def _pieces_of_all(texts: Sequence[str]) -> list[Iterable[str]]:
    """The pieces of each text, some of them more than once: a MinHash is that of their set."""
    joined = "".join(texts)
    if len(joined) < _PIECE_LETTERS or "\0" in joined:  # which NumPy takes for a text's end
        return [pieces(text) for text in texts]
    letters = np.frombuffer(joined.encode("utf-32-le"), "<u4")
    runs = np.lib.stride_tricks.sliding_window_view(letters, _PIECE_LETTERS).copy().view(f"<U{_PIECE_LETTERS}").ravel().tolist()
    found: list[Iterable[str]] = []
    start = 0
    for text in texts:
        found.append(runs[start : start + len(text) - _PIECE_LETTERS + 1] if len(text) >= _PIECE_LETTERS else [text])
        start += len(text)
    return found


def similarity(one: str, other: str) -> float:
    """Share of the five-letter pieces that two (normalised) texts have in common; 0 where their numbers differ.

    >>> similarity("how long is ab?", "how long is ab ?") > 0.7, similarity("what is 3 + 4?", "what is 3 + 5?")
    (True, 0.0)
    """
    if _NUMBER.findall(one) != _NUMBER.findall(other):
        return 0.0
    a, b = pieces(one), pieces(other)
    return len(a & b) / len(a | b)


def pieces(text: str) -> set[str]:
    """All runs of five characters; of a shorter text, the text."""
    return {text[at : at + _PIECE_LETTERS] for at in range(max(len(text) - _PIECE_LETTERS + 1, 1))}


class NearTexts:
    """Texts (normalised) by their sketches: each distinct one has a number, counted from 0, and finds those near it."""

    def __init__(self, least_similarity: float) -> None:
        self._least = least_similarity
        self._texts: list[str] = []
        self._numbers: dict[str, int] = {}
        self._hashes = np.zeros((1024, _NUM_HASHES), np.uint32)
        # A key to the number of the text that has it, or to a list of them.
        self._by_key: dict[int, int | list[int]] = {}

    def near(self, text: str, sketched: bytes) -> list[int]:
        """Numbers of the texts added so far that are nearly this one, in ascending order."""
        same = self._numbers.get(text)
        found = self._with_keys(_keys(sketched))
        found.discard(-1 if same is None else same)
        near = [number for number in self._likely(found, sketched) if similarity(text, self._texts[number]) >= self._least]
        return sorted(near if same is None else [*near, same])

    def add(self, text: str, sketched: bytes) -> int:
        """The text's number; the same for the same text."""
        if text in self._numbers:
            return self._numbers[text]
        number = self._numbers[text] = len(self._texts)
        self._texts.append(text)
        if number == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
        self._hashes[number] = _digest(sketched)
        for key in _keys(sketched):
            there = self._by_key.setdefault(key, number)
            if there == number:
                continue  # nearly every key is new
            if isinstance(there, list):
                there.append(number)
            else:
                self._by_key[key] = [there, number]
        return number

    def _with_keys(self, keys: Iterable[int]) -> set[int]:
        found: set[int] = set()
        for there in map(self._by_key.get, keys):
            if there is not None:
                found.update(there if isinstance(there, list) else (there,))
        return found

    def _likely(self, found: set[int], sketched: bytes) -> Iterable[int]:
        if len(found) <= _FEW:
            return found
        # Many texts made after one pattern: the estimate, good to about 0.1, spares comparing most of them.
        candidates = np.array(sorted(found))
        estimates = (self._hashes[candidates] == _digest(sketched)).mean(axis=1)
        return candidates[estimates >= self._least - _ESTIMATE_SLACK].tolist()  # type: ignore[no-any-return]


def _digest(sketched: bytes) -> NDArray[np.uint32]:
    return np.frombuffer(sketched, np.uint32, _NUM_HASHES)


def _keys(sketched: bytes) -> tuple[int, ...]:
    return _KEYS.unpack_from(sketched, 4 * _NUM_HASHES)
