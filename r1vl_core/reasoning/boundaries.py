"""Boundaries: does what stands around an occurrence belong to it and change what it says?

"3 + 7 = 10" in "2 * 3 + 7 = 10 + 3", "6" in "-6", "6%" or "6 1/2", and anything behind "not" are parts of something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from r1vl_core.reasoning.normal_form import NormalText
from r1vl_core.reasoning.number_words import NUMBER_TENS, NUMBER_WORDS
from r1vl_core.reasoning.units import GLUED_UNITS, MULTIPLIERS, UNITS

if TYPE_CHECKING:
    from r1vl_core.reasoning.key_steps import CompiledForm

RELATIONS = frozenset(("=", "!=", "<", ">", "<=", ">=", "\u2248"))
BINARY = frozenset(("+", "-", "*", "/", "^", "\u00b1"))
_NEGATIONS = frozenset(("not", "no", "never", "neither", "nor", "non", "without"))
_DENIALS = frozenset(("false", "wrong", "incorrect", "untrue", "mistaken", "impossible"))
# Words that may stand between a negation and what it denies: "cannot be 6", "is not even a right angle", "does not equal 6".
_BETWEEN = frozenset(("a", "an", "the", "be", "been", "=", "exactly", "really", "quite", "even", "actually", "always", "longer", "any"))
_MAX_BETWEEN = 3
REACH = 5
"""Pieces in front of an occurrence that `stands_alone` looks at, at most; behind it two."""

_OF_NUMBERS = NUMBER_WORDS | MULTIPLIERS.keys()
_MARKS = frozenset(".,;:!?")
_BRACE = re.compile(r"[{}]")
_CLOSING = re.compile(r" ?\}")
_OPENING = re.compile(r"(?:\\[A-Za-z]++ ?|[dtc]?frac)?\{ ?\Z")
_GROUP_MARKS = re.compile(r"(?:\\?[dtc]?frac)?[{(]*+|[})]++")
_MAX_GROUPS = 4
_MAX_COMMAND = 20


def is_part_of_more(form: CompiledForm, view: View, first: int, last: int) -> bool:
    """Is the occurrence of a form at tokens `first` … `last` a part of something that says something else, or denied?"""
    if view.fills_group(first, last):
        return False
    return _bound_left(form, view, first) or _bound_right(form, view, last)


def stands_alone(step: NormalText, first: int, last: int) -> bool:
    """Whether tokens `first` … `last`, of one piece each like all of this one line, surely are no `is_part_of_more` of any form.

    Most occurrences stand between plain words and punctuation marks: told by these, several times faster; False settles nothing.
    """
    pieces, parts = step.pieces, step.parts
    if first:
        before = pieces[first - 1]
        if " " not in parts[2 * first] or not (
            before in _MARKS or (_is_word(before) and not _may_deny(pieces[max(0, first - REACH) : first]))
        ):
            return False
    if last + 1 == len(pieces):
        return True
    after = pieces[last + 1]
    if after in _MARKS:  # "5.5" and "5:30" are one
        return after in ",;!?" or last + 2 == len(pieces) or parts[2 * last + 4] != "" or not pieces[last + 2][0].isdecimal()
    return " " in parts[2 * last + 2] and _is_word(after) and after != "per"


def _is_word(piece: str) -> bool:
    """A word that is no part of a number in words."""
    return len(piece) > 1 and piece.isascii() and piece.isalpha() and piece not in _OF_NUMBERS


def _may_deny(before: Sequence[str]) -> bool:
    """Whether these pieces end in a negation, or in one and words that may stand between it and what it denies; or in "hundred and"."""
    if before[-1] == "and" and before[-2:-1] and before[-2] in _OF_NUMBERS:
        return True
    for piece in reversed(before):
        if piece in _NEGATIONS or piece == "that":
            return True
        if piece not in _BETWEEN:
            return False
    return False


@dataclass(frozen=True, slots=True)
class View:
    """Token positions of one normalised step."""

    step: NormalText
    part_ends: list[int]

    def start(self, token: int) -> int:
        return self.part_ends[2 * token]

    def end(self, token: int) -> int:
        return self.part_ends[2 * token + 1]

    def neighbour(self, token: int, way: int) -> int | None:
        """The next token in that direction that stands for something, on the same line; None where there is none."""
        pieces, here = self.step.pieces, token
        token += way
        while 0 <= token < len(pieces) and not pieces[token]:
            token += way
        if not 0 <= token < len(pieces):
            return None
        between = (self.end(token), self.start(here)) if way < 0 else (self.end(here), self.start(token))
        return None if "\n" in self.step.text[between[0] : between[1]] else token

    def piece(self, token: int | None, way: int) -> str:
        """The piece of a neighbour that faces us: the last one of a token to the left, the first one of a token to the right."""
        return "" if token is None else self.step.pieces[token].split(" ")[-1 if way < 0 else 0]

    def is_operand(self, token: int | None, way: int) -> bool:
        """Is this token something that an operator works on? A lone "a" or "i" in running text is a word."""
        piece = self.piece(token, way)
        if token is None or not piece:
            return False
        if piece[0].isdecimal() or piece in ("\u03c0", "%", "\u00b0", ")" if way < 0 else "(", "\u221a"):
            return True
        return len(piece) == 1 and piece.isalpha() and (piece not in ("a", "i") or self.touches(token, -way))

    def before(self, token: int, count: int) -> Iterator[int]:
        """Up to `count` tokens to the left, the nearest first."""
        at = self.neighbour(token, -1)
        while at is not None and count:
            yield at
            at, count = self.neighbour(at, -1), count - 1

    def starts_with_digit(self, token: int | None, left: int) -> bool:
        """Does a token glued to its left neighbour begin with a digit?"""
        return token is not None and self.end(left) == self.start(token) and self.piece(token, 1)[0].isdecimal()

    def ends_in_digit(self, token: int | None, right: int) -> bool:
        """Does a token glued to its right neighbour end in a digit?"""
        return token is not None and self.end(token) == self.start(right) and self.piece(token, -1)[-1].isdecimal()

    def is_fraction(self, token: int) -> bool:
        """Is this token the numerator of a fraction of two whole numbers?"""
        pieces = self.step.pieces[token].split(" ")
        for _ in range(2):
            following = self.neighbour(token, 1) if len(pieces) < 3 else None
            if following is None:
                break
            pieces, token = [*pieces, *self.step.pieces[following].split(" ")], following
        return len(pieces) > 2 and pieces[1] == "/" and pieces[2].isdecimal()

    def glued(self, left: int, right: int) -> bool:
        """Nothing between two tokens but what a fraction or a group begins or ends with, as in "-\\frac{8}{2}" and "\\frac{8}{2}x"."""
        between = self.step.text[self.end(left) : self.start(right)]
        return not between or _GROUP_MARKS.fullmatch(between) is not None

    def fills_group(self, first: int, last: int) -> bool:
        """Are these tokens all that stands in a group of several ("3 * 4" in "\\frac{3 * 4}{2}")?"""
        parts = self.step.parts
        if not 0 < first < last < len(self.step.pieces) - 1:
            return False
        if (parts[2 * first - 1], parts[2 * last + 3]) not in (("{", "}"), ("(", ")")):
            return False
        inside = parts[2 * first + 1 : 2 * last + 2 : 2]
        depths = accumulate((token in "({") - (token in ")}") for token in inside)
        return min(depths) >= 0  # the group that opens in front is the one that closes behind

    def touches(self, token: int, way: int) -> bool:
        """No blank between a token and what stands on its right (way 1) or left (way -1)."""
        at = self.end(token) if way > 0 else self.start(token) - 1
        return 0 <= at < len(self.step.text) and not self.step.text[at].isspace()

    def with_command(self, first: int) -> int:
        """The token a match begins with: the `\\frac` in front of a whole fraction, such as "\\frac12"."""
        token = self.step.parts[2 * first + 1]
        fraction = first and not self.step.pieces[first - 1] and (token == "{" or "/" in self.step.pieces[first])
        return first - 1 if fraction and "frac" in self.step.parts[2 * first - 1] else first


def whole_groups(text: str, start: int, end: int) -> tuple[int, int]:
    """`text[start:end]` and, where it cuts a LaTeX group in two, the rest of the markup: "12}{2} = 6" and the "\\frac{" before it.

    >>> whole_groups("so \\\\frac{12}{2} = 6", 9, 19), whole_groups("14 \\\\text{ cm}", 0, 12)
    ((3, 19), (0, 13))
    """
    opened = unopened = 0
    for brace in _BRACE.findall(text, start, end):
        opened += 1 if brace == "{" else -1
        if opened < 0:
            opened, unopened = 0, unopened + 1
    for _ in range(min(opened, _MAX_GROUPS)):
        closing = _CLOSING.match(text, end)
        end = closing.end() if closing else end
    if text.count(")", start, end) > text.count("(", start, end) and text[start - 1 : start] == "(":
        start -= 1
    if text.count("(", start, end) > text.count(")", start, end) and text[end : end + 1] == ")":
        end += 1
    for _ in range(min(unopened, _MAX_GROUPS)):
        opening = _OPENING.search(text, max(0, start - _MAX_COMMAND), start)
        start = opening.start() if opening else start
    return start, end


def _bound_left(form: CompiledForm, view: View, first: int) -> bool:
    """Does what stands to the left belong to the occurrence and change what it says?"""
    before = view.neighbour(first, -1)
    if before is None:
        return False
    piece, beyond = view.piece(before, -1), view.neighbour(before, -1)
    if piece == "!=" or _denied_before(view, before):
        return True
    if form.first in ("-", "+"):
        return view.is_operand(before, -1)
    if not form.first[0].isalnum() and form.first not in ("(", "\u221a", "|"):
        return False
    if form.first in NUMBER_WORDS and _ends_number_words(piece, view.piece(beyond, -1)):
        return True  # "seven" in "twenty-seven"
    glued = view.glued(before, first)
    if piece in ("^", "\u221a", "\u00b1"):
        return True
    if piece == "-" and not view.is_operand(beyond, -1):
        return glued or view.piece(beyond, -1) in RELATIONS | BINARY | {"("}
    if piece in BINARY:
        return form.compound and view.is_operand(beyond, -1)
    if glued and (piece[0].isalnum() or (piece in (".", ":") and form.first[0].isdecimal() and view.ends_in_digit(beyond, before))):
        return True
    if piece[0].isdecimal() and form.mixed:
        return True
    return form.relation and len(form.first) == 1 and form.first.isalpha() and piece[0].isdecimal()


def _ends_number_words(piece: str, before: str) -> bool:
    """Does the number in words that ends in `piece` go on: "twenty", "hundred", "hundred and"?"""
    return piece in NUMBER_TENS or piece in MULTIPLIERS or (piece == "and" and before in MULTIPLIERS)


def _denied_before(view: View, token: int) -> bool:
    """Is an occurrence behind this token denied: "not 6", "cannot be 6", "it is false that 6 …", "not true that 6 …"?"""
    at: int | None = token
    for _ in range(_MAX_BETWEEN + 1):
        piece = view.piece(at, -1)
        if at is None or piece in _NEGATIONS:
            return at is not None
        if piece == "that":
            words = [view.piece(before, -1) for before in view.before(at, _MAX_BETWEEN)]
            return words[:1] != [] and (words[0] in _DENIALS or (words[0] in ("true", "correct", "right", "case") and "not" in words))
        if piece not in _BETWEEN:
            return False
        at = view.neighbour(at, -1)
    return False


def _bound_right(form: CompiledForm, view: View, last: int) -> bool:
    """Does what stands to the right belong to the occurrence and change what it says?"""
    after = view.neighbour(last, 1)
    if after is None:
        return False
    piece, beyond = view.piece(after, 1), view.neighbour(after, 1)
    if piece == "=" and _denied_after(form, view.piece(beyond, 1)):
        return True
    if not form.last[0].isalnum() and form.last not in (")", "\u00b0", "%", "|"):
        return False
    if piece in MULTIPLIERS and (form.last[0].isdecimal() or form.last in NUMBER_WORDS):
        return True  # "6" in "6 million"
    if form.last in NUMBER_TENS and piece in NUMBER_WORDS:
        return True  # "twenty" in "twenty-seven"
    if piece == "^" or (piece in ("%", "\u221a", "\u03c0") and form.last[0].isdecimal()):
        return True
    if piece in ("/", "per", "*") and form.last in UNITS and view.piece(beyond, 1) in UNITS:
        return True  # "14 m/s" is no "14 m"
    if piece in BINARY:
        return form.compound and view.is_operand(beyond, 1)
    glued = view.glued(last, after)
    if form.last[0].isdecimal():
        if piece[0].isdecimal() and view.is_fraction(after):
            return True  # "6 1/2" is one number
        if glued and piece in (".", ":") and view.starts_with_digit(beyond, after):
            return True
    if glued and piece[0].isalnum():
        return piece not in GLUED_UNITS
    return glued and piece == "(" and form.compound and len(form.last) == 1


def _denied_after(form: CompiledForm, word: str) -> bool:
    """ "… is wrong" denies anything; "… is not" only a statement ("6 is not prime" still says 6)."""
    return word in _DENIALS or (form.relation and word == "not")
