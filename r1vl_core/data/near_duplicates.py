"""Questions asked before, nearly word for word, about nearly the same picture; and questions that a held-out set asks."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from r1vl_core.data.near_texts import NearTexts, sketch

_LONG_QUESTION_WORDS = 13
"""Words from which a question is told by its words alone, as in the usual tests for contaminated text; "What is x?" is everybody's."""

_SOME_WORDS = 5
"""Words from which a question that stands within another about the same picture is that one."""

_FEW = 32


class Seen:
    """The questions accepted so far. Nearly the same are two whose texts are near (`NearTexts`), whose pictures' perceptual hashes
    differ in a few bits at most, and whose choices and answers are the same."""

    def __init__(self, similarity: float, picture_bits: int) -> None:
        self._texts = NearTexts(similarity)
        self._bits = picture_bits
        self._hashes: list[array[int]] = []
        self._rest: list[list[tuple[str, str]]] = []

    def find(self, text: str, sketched: bytes, phash: int, rest: str) -> str | None:
        """The place of the first question that is nearly this one; `text` is normalised, `rest` spells choices and answer."""
        for number in self._texts.near(text, sketched):
            for at in _near_pictures(self._hashes[number], phash, self._bits):
                if self._rest[number][at][0] == rest:
                    return self._rest[number][at][1]
        return None

    def add(self, text: str, sketched: bytes, phash: int, rest: str, place: str) -> None:
        """Remember an accepted question; `place` says where it was read."""
        number = self._texts.add(text, sketched)
        if number == len(self._hashes):
            self._hashes.append(array("Q"))
            self._rest.append([])
        self._hashes[number].append(phash)
        self._rest[number].append((rest, place))


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A held-out question: its normalised text, the digest of its picture's pixels, the picture's perceptual hash, its file's name.

    >>> HeldOut(text="how many?", pixel_sha256="ab").text
    'how many?'
    """

    text: str
    pixel_sha256: str
    phash: int = 0
    file: str = "the held-out set"


class HeldOutSet:
    """What no training question may repeat: question and picture, or (by `either`) one of them."""

    def __init__(self, items: Sequence[HeldOut], similarity: float, picture_bits: int, by: str) -> None:
        self._exact = {(item.text, item.pixel_sha256): item.file for item in items}
        self._near = similarity > 0
        self._bits = picture_bits
        self._either = by == "either"
        self._texts = NearTexts(similarity)
        self._by_text: dict[int, list[HeldOut]] = {}
        for item in items if self._near else ():
            self._by_text.setdefault(self._texts.add(item.text, sketch(item.text)), []).append(item)
        self._items = items
        self._hashes = array("Q", [item.phash for item in items])
        self._pixels = {item.pixel_sha256: item.file for item in items}

    def __len__(self) -> int:
        return len(self._items)

    def find(self, text: str, sketched: bytes, pixel_sha256: str, phash: int) -> str | None:
        """What is repeated, and of which file; None for a question (its text normalised) that the held-out set does not hold."""
        if not self._items:
            return None
        if file := self._exact.get((text, pixel_sha256)):
            return f"{file} asks the same about the same picture"
        if self._either and (file := self._picture(pixel_sha256, phash)):
            return f"{file} has nearly the same picture"
        same_text = [item for number in self._texts.near(text, sketched) for item in self._by_text[number]] if self._near else []
        for item in same_text:
            if _distance(item.phash, phash) <= self._bits:
                return f"{item.file} asks nearly the same about nearly the same picture"
        if self._near and (file := self._with_more_words(text, phash)):
            return f"{file} asks the same with fewer or more words around it about nearly the same picture"
        if self._either and same_text and len(text.split()) >= _LONG_QUESTION_WORDS:
            return f"{same_text[0].file} asks nearly the same"
        return None

    def _with_more_words(self, text: str, phash: int) -> str | None:
        """The file of a question about this picture that stands whole in this one, or this one in it: "In the figure above, …"."""
        items = (self._items[at] for at in _near_pictures(self._hashes, phash, self._bits))
        return next((item.file for item in items if _holds(text, item.text) or _holds(item.text, text)), None)

    def _picture(self, pixel_sha256: str, phash: int) -> str | None:
        if file := self._pixels.get(pixel_sha256):
            return file
        found = _near_pictures(self._hashes, phash, self._bits) if self._near else ()
        return next((self._items[at].file for at in found), None)


def _holds(longer: str, shorter: str) -> bool:
    """Whether a question of some words stands whole in another, from a word's beginning to the end of a sentence."""
    shorter = shorter.rstrip(" .?!")
    at = longer.find(shorter) if shorter.count(" ") >= _SOME_WORDS - 1 else -1
    end = at + len(shorter)
    return at >= 0 and not longer[at - 1 : at].isalnum() and (end == len(longer) or longer[end] in ".?!")


def _near_pictures(hashes: array[int], phash: int, bits: int) -> Iterable[int]:
    """Where in `hashes` those stand that differ from `phash` in at most so many bits, in order."""
    if len(hashes) <= _FEW:
        return [at for at, other in enumerate(hashes) if _distance(other, phash) <= bits]
    differing = np.bitwise_count(np.frombuffer(hashes, np.uint64) ^ np.uint64(phash))
    return np.flatnonzero(differing <= bits).tolist()  # type: ignore[no-any-return]


def _distance(one: int, other: int) -> int:
    return (one ^ other).bit_count()
