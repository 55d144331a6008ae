"""Multiple choice: which letter does an answer name?

"C", "(c)", "C.", "option C", "C: 123" and "The answer is C" all name C. A letter inside a word is no letter, the article "A" is no
letter, and an answer that names two letters names none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Letters of alphabetic scripts and digits make words; an ideograph next to a letter does not.
_IN_WORD = "0-9A-Za-z\u00aa-\u00ba\u00c0-\u1fff\u2080-\u2089"
_START, _END = rf"(?<![{_IN_WORD}_])", rf"(?![{_IN_WORD}_])"

_ALONE = re.compile(r"[(\[{<\"'`~]*+([A-Za-z])[)\]}>\"'`~.:,;!]*+")
_LABEL = re.compile(
    r"[(\[{]?([A-Za-z])(?:[)\]}][ \t]*+[.:,=-]?+|[ \t]*+[.:=)\uff1a\u3001]|[ \t]++[-\u2013\u2014][ \t]++|[ \t]*+\n)\s*+(?=\S)"
)
_SPACED_LABEL = re.compile(r"([A-Z])[ \t]++(?=\S)")
_STANDING = re.compile(rf"{_START}(?<!['\u2019])(?<!\b[Nn]/)([A-Z]){_END}(?!['\u2019][a-z])(?!\+\+|#)")
_BRACKETED = re.compile(rf"{_START}[(\[]([a-z])[)\]]{_END}")
# "A" before a small word is the article, unless the word is one that follows a letter: "A is right", "A or C".
_ARTICLE = re.compile(
    rf"[ \t]++(?!(?:is|or|and|nor|to|vs|as|because|since|but|if|for|seems|looks|has|was|would|must|will|can|not|with|instead|rather"
    rf"|over){_END})[a-z]"
)
# "I" before any small word but these is who speaks: "I would say B".
_PRONOUN = re.compile(rf"[ \t]++(?!(?:is|or|and|nor|as|because|since|but|if|for|seems|looks|not|with|instead|rather|over){_END})[a-z]")
_CUE = re.compile(rf"(?:answer|option|choice)(?:[ \t]++is)?[ \t]*+:?[ \t]*+[(\[]?([a-z]){_END}", re.IGNORECASE)
# A second small letter behind a first: "c or d", "(c), (d)".
_ANOTHER = re.compile(rf"(?:{_START}(?:or|and){_END}|[,/&])[ \t]*+[(\[]?([b-hj-z]|a(?![ \t]++[a-z])){_END}")
_CUE_BEFORE = re.compile(r"(?:answer|option|choice|is|:|\()[ \t]*$", re.IGNORECASE)
_NEGATION = re.compile(
    rf"{_START}(?:not|never|neither|nor|wrong|incorrect|false|untrue|except|excluding|cannot|eliminate[sd]?|rule[sd]?[ \t]out"
    rf"|(?:anything|everything|all|any)[ \t]++but|other[ \t]++than|unlikely){_END}|n['\u2019]t{_END}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """The letters an answer names (upper case, in order, each once), the text that stands behind a label, and whether it is denied.

    >>> read_claim("C: 123", frozenset("ABCD"))
    Claim(letters=('C',), rest='123', denied=False)
    """

    letters: tuple[str, ...]
    rest: str = ""
    denied: bool = False


def read_claim(answer: str, letters: frozenset[str]) -> Claim:
    """Find the letters that an answer (cleaned, case kept) names among `letters`. Never raises; linear."""
    alone = _ALONE.fullmatch(answer)
    if alone and alone[1].upper() in letters:
        return Claim((alone[1].upper(),))
    run = tuple(answer)
    if 1 < len(run) <= len(letters) and letters.issuperset(run) and list(run) == sorted(set(run)):
        return Claim(run)  # "ACD"
    label = _LABEL.match(answer)
    if label and label[1].upper() in letters:
        rest = answer[label.end() :]
        others = _standing(rest, letters) + (_another(rest, letters) if label[1].islower() else [])
        return Claim(tuple(dict.fromkeys([label[1].upper(), *others])), rest)
    found = _standing(answer, letters)
    spaced = _SPACED_LABEL.match(answer)
    if spaced and spaced[1] in letters and found in ([], [spaced[1]]):
        return Claim(tuple(found), answer[spaced.end() :], _NEGATION.search(answer) is not None)
    return Claim(tuple(found), "", bool(found) and _NEGATION.search(answer) is not None)


def _standing(text: str, letters: frozenset[str]) -> list[str]:
    """Letters standing alone in running text, each once; small ones only in brackets or right behind "answer", "option" or "choice"."""
    found = []
    for standing in _STANDING.finditer(text):
        letter = standing[1]
        if letter not in letters:
            continue
        before = text[max(0, standing.start() - 12) : standing.start()]
        word = {"A": _ARTICLE, "I": _PRONOUN}.get(letter)
        if word and word.match(text, standing.end()) and not _CUE_BEFORE.search(before):
            continue
        found.append(letter)
    small = [cue[1].upper() for pattern in (_BRACKETED, _CUE) for cue in pattern.finditer(text) if cue[1].islower()]
    if small:
        small += _another(text, letters)
    return list(dict.fromkeys([*found, *(letter for letter in small if letter in letters)]))


def _another(text: str, letters: frozenset[str]) -> list[str]:
    return [cue[1].upper() for cue in _ANOTHER.finditer(text) if cue[1].upper() in letters]
