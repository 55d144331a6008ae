"""Key steps by rules: the equations, quantities and named things in the steps of a reference path, each with equivalent forms.

Invariant: every key step that comes back matches in the path it came from. The rules need no model and no network; what a strong
language model would add (paper, section 3) is other words for the same thing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

from r1vl_core.data.candidates import Candidate, find, statements
from r1vl_core.data.told import lines_of, tell, tell_each
from r1vl_core.reasoning.boundaries import REACH, stands_alone
from r1vl_core.reasoning.key_steps import CompiledForm, Haystack, compile_form, compile_pieces
from r1vl_core.reasoning.normal_form import NormalText, normalise
from r1vl_core.reasoning.paths import ReasoningPath, Section, parse

_BARE_NUMBER = 4
_TRIES = 4  # equations from the end, until one says something new
_BLOCK = 64  # paths


def extract_key_steps(path: ReasoningPath, max_key_steps: int) -> tuple[tuple[str, ...], ...]:
    """The key steps of a reference path in the order they stand, at most `max_key_steps`; empty when its steps hold none.

    Equations win over named quantities ("red is 4"), these over short phrases with a number, these over lone quantities.
    Raises ValueError for a limit below 1.
    """
    return _extract_block([path], max_key_steps)[0]


def extract_each(reference_paths: Sequence[str], max_key_steps: int) -> list[tuple[tuple[str, ...], ...]]:
    """`extract_key_steps` of each of these reference paths."""
    found = []
    for start in range(0, len(reference_paths), _BLOCK):
        found += _extract_block(list(map(parse, reference_paths[start : start + _BLOCK])), max_key_steps)
    return found


def _extract_block(paths: Sequence[ReasoningPath], max_key_steps: int) -> list[tuple[tuple[str, ...], ...]]:
    """One pass over all paths after the other: a fifth faster than all passes over each, whose code and tables displace one another in
    the processor's caches."""
    if max_key_steps < 1:
        raise ValueError(f"max_key_steps is {max_key_steps}: at least 1 key step a question is needed")
    each = list(map(_Steps, paths))
    lines = [list(steps.lines()) for steps in each]
    found = [[_Found(line, *find(line.joined)) for line in of_path] for of_path in lines]
    return [_choose(steps, of_path, max_key_steps) for steps, of_path in zip(each, found, strict=True)]


class _Found(NamedTuple):
    """A line, its equations, and its other clauses that say something, each behind its place."""

    line: _Line
    equations: list[Candidate]
    others: list[tuple[int, str]]


def _choose(steps: _Steps, found: Sequence[_Found], max_key_steps: int) -> tuple[tuple[str, ...], ...]:
    """Of all that was found the best that the path says, nothing twice."""
    chosen = _Chosen(steps)
    equations = [(one.line, equation) for one in found for equation in one.equations]
    for at, (line, candidate) in enumerate(equations, 1):
        if chosen.take(line, candidate) == max_key_steps:
            chosen.end_with(equations[at:])
            return chosen.forms()
    for line, candidate in _statements(found):
        if chosen.kept and candidate.rank == _BARE_NUMBER:
            break  # a bare number is met by chance too often: only where a path offers nothing else
        if chosen.take(line, candidate) == max_key_steps:
            break
    return chosen.forms()


def _statements(found: Sequence[_Found]) -> Iterator[tuple[_Line, Candidate]]:
    """What the other clauses say, by its rank, then in the order they stand."""
    said = [(line, candidate) for line, _, others in found for place, text in others for candidate in statements(text, place)]
    # Of bare numbers the last: what a path without anything else comes to, and not what it starts from.
    yield from sorted([one for one in said if one[1].rank < _BARE_NUMBER], key=lambda one: one[1].rank)
    yield from reversed([one for one in said if one[1].rank == _BARE_NUMBER])


class _Spelled:
    """A candidate with its forms, each compiled only when it is asked for; `needle` is the first one's."""

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        self._forms: tuple[str, ...] | None = None
        self._compiled: list[CompiledForm] | None = None
        self._text = ""
        self._first: CompiledForm | None = None
        self.needle = candidate.needle
        if not self.needle:
            first = self.first()
            self.needle = first.needle if first else next((form.needle for form in self.compiled()), "")

    def first(self) -> CompiledForm | None:
        """The first form; None where it says nothing."""
        if self._first is None:
            first, needle = self.candidate.first, self.candidate.needle
            self._first = compile_pieces(first, needle.split()) if needle else compile_form(first)
        return self._first

    def forms(self) -> tuple[str, ...]:
        """All of them, the first one first."""
        if self._forms is None:
            self._forms = self.candidate.spell()
        return self._forms

    def compiled(self) -> list[CompiledForm]:
        """Those that say something."""
        if self._compiled is None:
            self._compiled = [form for form in map(compile_form, self.forms()) if form is not None]
        return self._compiled

    def text(self) -> str:
        """Words and numbers of all forms, and more."""
        if not self._text:
            self._text = " ".join((*self.forms(), self.needle)).lower()
        return self._text

    def holds(self, needle: str) -> bool:
        """Does a needle stand in one of the forms'?"""
        return needle in self.needle or (_may_hold(self.text(), needle) and any(needle in form.needle for form in self.compiled()))


class _Said:
    """What was taken already."""

    def __init__(self) -> None:
        self._taken: list[_Spelled] = []
        self._text = ""

    def add(self, one: _Spelled) -> None:
        """Take one more."""
        self._taken.append(one)
        self._text += f" {one.text()}"

    def holds(self, needle: str) -> bool:
        """Does a needle stand in a form of one of them?"""
        return _may_hold(self._text, needle) and any(one.holds(needle) for one in self._taken)


def _may_hold(text: str, needle: str) -> bool:
    """Generated forms have the words and numbers of their text: where one of the needle's is missing, no form need be compiled."""
    for piece in needle.split():
        if piece in text:
            continue
        if piece[0].isascii() and piece[0].isalnum():
            return False
    return True


class _Chosen:
    """The key steps taken so far."""

    def __init__(self, steps: _Steps) -> None:
        self.steps = steps
        self.kept: list[tuple[tuple[int, int], _Spelled]] = []
        self._said = _Said()
        self._num_said = 0

    def take(self, line: _Line, candidate: Candidate) -> int:
        """Take a candidate, unless it was said; how many are taken."""
        for _, one in self.kept[self._num_said :]:
            self._said.add(one)
        self._num_said = len(self.kept)
        one = _Spelled(candidate)
        # Nothing twice: not the same statement again, and not a number that stands in an equation already taken.
        if one.needle and not self._said.holds(one.needle) and self.steps.reach(one, line):
            self.kept.append(((line.number, candidate.place), one))
        return len(self.kept)

    def end_with(self, later: Sequence[tuple[_Line, Candidate]]) -> None:
        """Put the last equation in the place of the last one taken: what a path comes to is a key step."""
        last, size = self.kept.pop(), len(self.kept)
        for line, candidate in reversed(later[-_TRIES:]):
            if self.take(line, candidate) > size:
                return
        self.kept.append(last)

    def forms(self) -> tuple[tuple[str, ...], ...]:
        """The forms of each, in the order they stand."""
        return tuple(one.forms() for _, one in sorted(self.kept, key=lambda one: one[0]))


class _Line(NamedTuple):
    """Line `number` of those that may hold a candidate, and its pieces in one string: of step `step`, or, where that is None, of what all
    steps tell. `ends` says where each piece ends in that string, where they are not one to a token."""

    number: int
    step: int | None
    normal: NormalText
    joined: str
    ends: Sequence[int] | None = None

    def stands_alone(self, candidate: Candidate) -> bool:
        """Whether a candidate surely stands at its place in the line, and is part of no more."""
        if self.step is not None or not candidate.needle:
            return False
        first = self.joined.count(" ", 0, candidate.place) if self.ends is None else bisect_right(self.ends, candidate.place)
        last = first + candidate.needle.count(" ") - 2
        if self.ends is not None and not all(piece and " " not in piece for piece in self.normal.pieces[max(0, first - REACH) : last + 3]):
            return False  # markup or a token of several pieces
        return stands_alone(self.normal, first, last)


def _told_line(number: int, normal: NormalText) -> _Line:
    joined = normal.joined
    aligned = joined.count(" ") + 1 == len(normal.pieces) and "" not in normal.pieces
    return _Line(number, None, normal, joined, None if aligned else normal.piece_ends())


class _Steps:
    """The steps of a path, each normalised once and only when it is looked at."""

    def __init__(self, path: ReasoningPath) -> None:
        self._path = path
        self._normal: dict[int, NormalText] = {}
        self._haystacks: dict[int | None, Haystack] = {}
        self._everywhere: Haystack | None = None

    def lines(self) -> Iterator[_Line]:
        """Every line that may hold a candidate: of what all steps tell, read at once, or else of each step."""
        texts = [step.text for step in self._path.steps]
        told = tell(texts)
        if told is not None:
            whole = normalise(told)
            self._haystacks[None] = Haystack([Section(whole.text, 0, len(whole.text))], [whole])
            for number, line in enumerate(lines_of(whole)):
                yield _told_line(number, line)
            return
        numbers = count()
        for place, text in enumerate(texts):
            for line in map(normalise, tell_each(text)):
                yield _Line(next(numbers), place, line, line.joined)

    def reach(self, one: _Spelled, line: _Line) -> bool:
        """Does the path say one of the forms, as a whole? `line` is where it comes from."""
        if line.stands_alone(one.candidate):
            return True
        first = one.first()
        if first is not None and self._haystack(line.step).find(first) is not None:
            return True
        if self._everywhere is None:
            self._everywhere = Haystack(self._path.steps, [self._step(other) for other in range(len(self._path.steps))])
        return any(self._everywhere.find(form) is not None for form in one.compiled())

    def _haystack(self, step: int | None) -> Haystack:
        """A step, or all that the steps tell."""
        if step is not None and step not in self._haystacks:
            self._haystacks[step] = Haystack([self._path.steps[step]], [self._step(step)])
        return self._haystacks[step]

    def _step(self, number: int) -> NormalText:
        if number not in self._normal:
            self._normal[number] = normalise(self._path.steps[number].text)
        return self._normal[number]


def generated_forms(core: str) -> tuple[str, ...]:
    """The equivalents that rules generate for a key step, itself first; none for what is neither equation nor quantity.

    >>> generated_forms("6 / 3 = 2")[:2]
    ('6 / 3 = 2', '6/3 = 2')
    """
    source = compile_form(core)
    line = normalise(core).joined
    equations, others = find(line)
    for candidate in (*equations, *(statement for place, text in others for statement in statements(text, place))):
        first = compile_form(candidate.first)
        if source is not None and first is not None and first.needle == source.needle:
            return candidate.spell()
    return ()
