"""Key steps: which of a question's key steps does a path reach?

A key step is a group of equivalent forms; it matches when any of them stands in the text of the path's steps as a *whole* quantity,
expression or phrase. Both sides are compared in normal form (`normal_form`), so case, markup, signs and blanks do not matter; what
stands around an occurrence decides whether it is whole: "3 + 7 = 10" is not in "2 * 3 + 7 = 10 + 3", "6" is not in "-6" or "6%".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from r1vl_core.reasoning.boundaries import BINARY, RELATIONS, View, is_part_of_more
from r1vl_core.reasoning.normal_form import NormalText, normalise
from r1vl_core.reasoning.paths import ReasoningPath

_WALL = " \x1e "  # stands between two steps; no token of a text can be it, so nothing matches across steps
_FINAL_PUNCTUATION = frozenset((".", ",", ";", ":", "!", "?"))


@dataclass(frozen=True, slots=True)
class CompiledForm:
    """One form, normalised: `needle` is its pieces between blanks, `first` and `last` the outermost of them.

    `compound` when it holds an operator or a relation, `relation` when a relation; `mixed` when it begins with a fraction, which a
    number in front would make a mixed one.

    >>> compile_form("12 ÷ 2 = 6").needle
    ' 12 / 2 = 6 '
    """

    form: str
    needle: str
    first: str
    last: str
    compound: bool
    relation: bool
    mixed: bool


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
    return compile_pieces(form, normalise(form).joined.split())


def compile_pieces(form: str, pieces: list[str]) -> CompiledForm | None:
    """`compile_form` for a form whose pieces are known; takes punctuation off them."""
    while pieces and pieces[-1] in _FINAL_PUNCTUATION:
        pieces.pop()
    while pieces and pieces[0] in _FINAL_PUNCTUATION:
        pieces.pop(0)
    if not any(piece[0].isalnum() or piece == "\u221e" for piece in pieces):
        return None
    relation = any(piece in RELATIONS for piece in pieces)
    compound = relation or any(piece in BINARY for piece in pieces)
    mixed = len(pieces) > 2 and pieces[0].isdecimal() and pieces[1] == "/" and pieces[2].isdecimal()
    return CompiledForm(form, f" {' '.join(pieces)} ", pieces[0], pieces[-1], compound, relation, mixed)


def match(path: ReasoningPath, compiled: CompiledKeySteps) -> tuple[KeyStepMatch | None, ...]:
    """For each key step where it stands in the path's steps, or None. Never raises; linear in the path's length."""
    if not path.steps or not compiled.groups:
        return (None,) * len(compiled.groups)
    haystack = Haystack([(step.start, normalise(step.text)) for step in path.steps])
    return tuple(_match_one(index, forms, haystack) for index, forms in enumerate(compiled.groups))


def _match_one(index: int, forms: tuple[CompiledForm, ...], haystack: Haystack) -> KeyStepMatch | None:
    for form in forms:
        span = haystack.find(form)
        if span is not None:
            return KeyStepMatch(index, form.form, *span)
    return None


class Haystack:
    """Steps of one path in normal form, each with its offset in the path's text, as one string; positions are worked out only where a
    form occurs."""

    def __init__(self, steps: Sequence[tuple[int, NormalText]]) -> None:
        self.offsets = [offset for offset, _ in steps]
        self.steps = [step for _, step in steps]
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
        if (piece_ends[first - 1] if first else 0) != begin and form.first != "not":
            return None  # begins inside a token, as the "2" of a one-half sign does; the "not" of "isn't" is a word of its own
        if piece_ends[last] != begin + len(form.needle) - 1:
            return None
        view = View(step, part_ends)
        if is_part_of_more(form, view, first, last):
            return None
        first, last = view.widen(first, last)
        return self.offsets[number] + view.start(first), self.offsets[number] + view.end(last)
