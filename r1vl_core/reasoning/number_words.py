"""Numbers in words: "forty-two", "one hundred and five", "two thirds", "3 and a half"."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from r1vl_core.reasoning.units import MULTIPLIERS

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_SMALL = {word: number for number, word in enumerate(_ONES.split())}
_ROUND = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * number for number, word in enumerate(_ROUND.split(), 2)}
_PARTS = {"half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9}
_PARTS |= {"tenth": 10, "twelfth": 12, "hundredth": 100, "thousandth": 1000}
_PARTS |= {f"{word}s": number for word, number in _PARTS.items() if word != "halves"}
_MAX_DIGITS = 15

NUMBER_TENS = frozenset(_TENS)
"""Words that another number word may follow: "twenty-one"."""
NUMBER_WORDS = frozenset(_SMALL) | NUMBER_TENS
"""Words that are a number by themselves."""


def read_number_words(words: Sequence[str]) -> tuple[Fraction, int] | None:
    """The number that the first words say and how many words it takes; None when they say none.

    >>> read_number_words("two and a half hours".split())
    (Fraction(5, 2), 4)
    """
    if words[:1] == ["half"]:
        return Fraction(1, 2), 1 + (words[1:2] in (["a"], ["an"]))
    value, at = _cardinal(words, 0)
    if not at:
        return None
    if at < len(words) and words[at] in _PARTS:
        return Fraction(value, _PARTS[words[at]]), at + 1
    if words[at : at + 1] == ["over"]:
        below, end = _cardinal(words, at + 1)
        if below:
            return Fraction(value, below), end
    if words[at : at + 1] == ["and"]:
        count, end = _cardinal(words, at + 1)
        if end > at + 1 and end < len(words) and words[end] in _PARTS:
            return value + Fraction(count, _PARTS[words[end]]), end + 1
    if words[0].isdecimal() or (words[0] == "a" and at == 1):
        return None  # "12 apples" and "a dog" are for others to read
    return Fraction(value), at


def _cardinal(words: Sequence[str], at: int) -> tuple[int, int]:
    """A whole number in words and the index behind it, the index unchanged when there is none."""
    if at < len(words) and words[at].isascii() and words[at].isdecimal() and len(words[at]) <= _MAX_DIGITS:
        return int(words[at]), at + 1
    if words[at : at + 1] == ["a"]:
        following = words[at + 1 : at + 2]
        if following and following[0] in _PARTS:
            return 1, at + 1
        if following and following[0] in MULTIPLIERS:
            at += 1
    return _sum(words, at)


def _sum(words: Sequence[str], at: int) -> tuple[int, int]:
    total, group, room = 0, 0, 10**12  # room: what still may follow must be smaller than this
    start = at
    while at < len(words):
        word = words[at]
        value = _TENS.get(word, _SMALL.get(word))
        if value is not None and value < min(room, 100):
            group, room = group + value, 10 if word in _TENS else 0
        elif word == "hundred" and group < 100:
            group, room = 100 * (group or 1), 100
        elif word in MULTIPLIERS and word != "hundred" and (group or at == start):
            total, group, room = total + MULTIPLIERS[word] * (group or 1), 0, 100
        elif word == "and" and room == 100 and at + 1 < len(words) and (words[at + 1] in _SMALL or words[at + 1] in _TENS):
            pass
        else:
            break
        at += 1
    return total + group, at
