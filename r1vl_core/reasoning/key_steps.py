"""Key steps: which of a question's key steps does a path reach?

A key step is a group of equivalent forms; it matches when any of them stands in the text of the path's steps as a *whole* quantity,
expression or phrase. Both sides are compared in normal form (`normal_form`), so case, markup, signs and blanks do not matter; what
stands around an occurrence decides whether it is whole: "3 + 7 = 10" is not in "2 * 3 + 7 = 10 + 3", "6" is not in "-6" or "6%".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from r1vl_core.reasoning.normal_form import NormalText, normalise
from r1vl_core.reasoning.paths import ReasoningPath
from r1vl_core.reasoning.units import UNITS

_WALL = " \x1e "  # stands between two steps; no token of a text can be it, so nothing matches across steps
_RELATIONS = frozenset(("=", "!=", "<", ">", "<=", ">=", "\u2248"))
_BINARY = frozenset(("+", "-", "*", "/", "^", "\u00b1"))
_FINAL_PUNCTUATION = frozenset((".", ",", ";", ":", "!", "?"))
_NEGATIONS = frozenset(("not", "no", "never", "neither", "nor", "non", "without"))
_DENIALS = frozenset(("not", "false", "wrong", "incorrect"))
_ARTICLES = frozenset(("a", "an", "the"))


@dataclass(frozen=True, slots=True)
class CompiledForm:
    """One form, normalised: `needle` is its pieces between blanks; `compound` when it holds an operator or a relation.

    >>> CompiledForm(form="12 ÷ 2 = 6", needle=" 12 / 2 = 6 ", first="12", last="6", compound=True, relation=True).last
    '6'
    """

    form: str
    needle: str
    first: str
    last: str
    compound: bool
    relation: bool


@dataclass(frozen=True, slots=True)
class CompiledKeySteps:
    """A question's key steps, normalised once; `groups[i]` are the forms of key step i.

    >>> len(compile_key_steps([["6/3 = 2", "6 divided by 3 equals 2"], ["largest digit is 9"]]).groups)
    2
    """

    groups: tuple[tuple[CompiledForm, ...], ...]


@dataclass(frozen=True, slots=True)
class KeyStepMatch:
    """Key step `index` matched by `form`, at `path.text[start:end]`.

    >>> KeyStepMatch(index=0, form="6/3 = 2", start=40, end=47).index
    0
    """

    index: int
    form: str
    start: int
    end: int


def compile_key_steps(key_steps: Sequence[Sequence[str]]) -> CompiledKeySteps:
    """Normalise every form once per question.

    Raises ValueError for a key step without forms and for a form that is empty (or only punctuation): it would always match.
    """
    groups = []
    for index, forms in enumerate(key_steps):
        if not forms or isinstance(forms, str):
            raise ValueError(f"key step {index}: expected a list of one or more forms, got {forms!r}")
        compiled: dict[str, CompiledForm] = {}
        for form in forms:
            one = compile_form(form)
            if one is None:
                raise ValueError(f"key step {index}: the form {form!r} holds no word, number or sign; give it text or remove it")
            compiled.setdefault(one.needle, one)
        groups.append(tuple(compiled.values()))
    return CompiledKeySteps(tuple(groups))


def compile_form(form: str) -> CompiledForm | None:
    """One form in normal form, final punctuation dropped; None when nothing is left to match."""
    pieces = normalise(form).joined.split()
    while pieces and pieces[-1] in _FINAL_PUNCTUATION:
        pieces.pop()
    while pieces and pieces[0] in _FINAL_PUNCTUATION:
        pieces.pop(0)
    if not any(piece[0].isalnum() or piece == "\u221e" for piece in pieces):
        return None
    relation = any(piece in _RELATIONS for piece in pieces)
    compound = relation or any(piece in _BINARY for piece in pieces)
    return CompiledForm(form, f" {' '.join(pieces)} ", pieces[0], pieces[-1], compound, relation)


def match(path: ReasoningPath, compiled: CompiledKeySteps) -> tuple[KeyStepMatch | None, ...]:
    """For each key step where it stands in the path's steps, or None. Never raises; linear in the path's length."""
    if not path.steps or not compiled.groups:
        return (None,) * len(compiled.groups)
    haystack = _Haystack(path)
    return tuple(_match_one(index, forms, haystack) for index, forms in enumerate(compiled.groups))


def _match_one(index: int, forms: tuple[CompiledForm, ...], haystack: _Haystack) -> KeyStepMatch | None:
    for form in forms:
        span = haystack.find(form)
        if span is not None:
            return KeyStepMatch(index, form.form, *span)
    return None


class _Haystack:
    """The steps of one path in normal form, as one string; positions are worked out only where a form occurs."""

    def __init__(self, path: ReasoningPath) -> None:
        self.offsets = [step.start for step in path.steps]
        self.steps = [normalise(step.text) for step in path.steps]
        joined = [step.joined for step in self.steps]
        self.text = f" {_WALL.join(joined)} "
        self.starts = [1]
        for text in joined:
            self.starts.append(self.starts[-1] + len(text) + len(_WALL))
        self.ends: dict[int, tuple[list[int], list[int]]] = {}

    def find(self, form: CompiledForm) -> tuple[int, int] | None:
        """Span in the path's text of the first whole occurrence of a form."""
        position = self.text.find(form.needle)
        while position >= 0:
            span = self._whole(form, position + 1)
            if span is not None:
                return span
            position = self.text.find(form.needle, position + 1)
        return None

    def _whole(self, form: CompiledForm, start: int) -> tuple[int, int] | None:
        number = bisect_right(self.starts, start) - 1
        step = self.steps[number]
        if number not in self.ends:
            self.ends[number] = step.piece_ends(), step.part_ends()
        piece_ends, part_ends = self.ends[number]
        begin = start - self.starts[number]
        first = bisect_right(piece_ends, begin)
        last = bisect_left(piece_ends, begin + len(form.needle) - 1)
        if (piece_ends[first - 1] if first else 0) != begin or piece_ends[last] != begin + len(form.needle) - 1:
            return None  # begins or ends inside a token, as the "2" of a one-half sign does
        view = _View(step, part_ends)
        if _bound_left(form, view, first) or _bound_right(form, view, last):
            return None
        first, last = view.widen(first, last)
        return self.offsets[number] + view.start(first), self.offsets[number] + view.end(last)


@dataclass(frozen=True, slots=True)
class _View:
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

    def touches(self, token: int, way: int) -> bool:
        """No blank between a token and what stands on its right (way 1) or left (way -1)."""
        at = self.end(token) if way > 0 else self.start(token) - 1
        return 0 <= at < len(self.step.text) and not self.step.text[at].isspace()

    def widen(self, first: int, last: int) -> tuple[int, int]:
        """Take in the markup that touches a match, such as the `\\frac{` before a numerator."""
        pieces = self.step.pieces
        while first and not pieces[first - 1] and self.end(first - 1) == self.start(first):
            first -= 1
        while last + 1 < len(pieces) and not pieces[last + 1] and self.end(last) == self.start(last + 1):
            last += 1
        return first, last


def _bound_left(form: CompiledForm, view: _View, first: int) -> bool:
    """Does what stands to the left belong to the occurrence and change what it says?"""
    before = view.neighbour(first, -1)
    if before is None:
        return False
    piece, beyond = view.piece(before, -1), view.neighbour(before, -1)
    if piece in _NEGATIONS or (piece in _ARTICLES and view.piece(beyond, -1) in _NEGATIONS):
        return True
    if form.first in ("-", "+"):
        return view.is_operand(before, -1)
    if not form.first[0].isalnum() and form.first not in ("(", "\u221a"):
        return False
    glued = view.end(before) == view.start(first)
    if piece in ("^", "\u221a", "\u00b1"):
        return True
    if piece == "-" and not view.is_operand(beyond, -1):
        return glued or view.piece(beyond, -1) in _RELATIONS | _BINARY | {"("}
    if piece in _BINARY:
        return form.compound and view.is_operand(beyond, -1)
    if piece[0].isalnum() and glued:
        return True
    return form.relation and len(form.first) == 1 and form.first.isalpha() and piece[0].isdecimal()


def _bound_right(form: CompiledForm, view: _View, last: int) -> bool:
    """Does what stands to the right belong to the occurrence and change what it says?"""
    after = view.neighbour(last, 1)
    if after is None:
        return False
    piece, beyond = view.piece(after, 1), view.neighbour(after, 1)
    if piece == "=" and form.relation and view.piece(beyond, 1) in _DENIALS:
        return True
    if not form.last[0].isalnum() and form.last not in (")", "\u00b0", "%"):
        return False
    if piece == "^" or (piece == "%" and form.last[0].isdecimal()):
        return True
    if piece in _BINARY:
        return form.compound and view.is_operand(beyond, 1)
    glued = view.end(last) == view.start(after)
    if glued and piece[0].isalnum():
        return piece not in UNITS
    return glued and piece == "(" and form.compound and len(form.last) == 1
