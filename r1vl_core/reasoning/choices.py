"""Multiple choice: which letter does an answer name?

"C", "(c)", "C.", "option C", "C: 123" and "The answer is C" all name C. A letter inside a word is no letter, the article "A" is no
letter, and an answer that names two letters names none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ALONE = re.compile(r"[(\[<\"'`]*+([A-Za-z])[)\]>\"'`.:,]*+")
_LABEL = re.compile(
    r"[(\[]?([A-Za-z])(?:[)\]][ \t]*+[.:,]?+|[ \t]*+[.:)\uff1a\u3001]|[ \t]++[-\u2013\u2014][ \t]++|[ \t]*+\n)\s*+(?=\S)", re.DOTALL
)
_SPACED_LABEL = re.compile(r"([A-Z])[ \t]++(?=\S)")
_STANDING = re.compile(r"(?<![^\W_])(?<!['\u2019])([A-Z])(?![^\W_])(?!['\u2019][a-z])")
# "A" before a small word is the article, unless the word is one that follows a letter: "A is right", "A or C".
_ARTICLE = re.compile(r"[ \t]++(?!(?:is|or|and|nor|as|because|since|but|if|for|seems|looks|has|was|would|not)(?![^\W_]))[a-z]")
_CUE = re.compile(r"(?:answer|option|choice)(?:[ \t]++is)?[ \t]*+:?[ \t]*+[(\[]?([a-z])(?![^\W_])", re.IGNORECASE)
_CUE_BEFORE = re.compile(r"(?:answer|option|choice|is|:|\()[ \t]*$", re.IGNORECASE)
_NEGATION = re.compile(
    r"(?<![^\W_])(?:not|never|neither|nor|wrong|incorrect|false|except|cannot|eliminate[sd]?)(?![^\W_])|n['\u2019]t(?![^\W_])",
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
    label = _LABEL.match(answer)
    if label and label[1].upper() in letters:
        rest = answer[label.end() :]
        others = [letter for letter in _standing(rest, letters) if letter != label[1].upper()]
        return Claim(tuple(dict.fromkeys([label[1].upper(), *others])), rest)
    found = _standing(answer, letters)
    spaced = _SPACED_LABEL.match(answer)
    if spaced and spaced[1] in letters and found in ([], [spaced[1]]):
        return Claim(tuple(found), answer[spaced.end() :], _NEGATION.search(answer) is not None)
    return Claim(tuple(found), "", bool(found) and _NEGATION.search(answer) is not None)


def _standing(text: str, letters: frozenset[str]) -> list[str]:
    """Letters standing alone in running text, each once; small ones only right behind "answer", "option" or "choice"."""
    found = []
    for standing in _STANDING.finditer(text):
        letter = standing[1]
        if letter not in letters:
            continue
        before = text[max(0, standing.start() - 12) : standing.start()]
        if letter in "AI" and _ARTICLE.match(text, standing.end()) and not _CUE_BEFORE.search(before):
            continue
        found.append(letter)
    found += [cue[1].upper() for cue in _CUE.finditer(text) if cue[1].upper() in letters and cue[1].islower()]
    return list(dict.fromkeys(found))
