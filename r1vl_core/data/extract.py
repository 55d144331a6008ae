"""Key steps by rules: the equations, quantities and named things in the steps of a reference path, each with equivalent forms.

Invariant: every key step that comes back matches in the path it came from. The rules need no model and no network; what a strong
language model would add (paper, section 3) is other words for the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

from r1vl_core.data.candidates import Candidate, find, has_group, says_power, statements, telling
from r1vl_core.reasoning.boundaries import stands_alone
from r1vl_core.reasoning.key_steps import CompiledForm, Haystack, compile_form
from r1vl_core.reasoning.normal_form import NormalText, normalise
from r1vl_core.reasoning.paths import ReasoningPath, Section, parse

_MAX_LINE = 4000  # characters; a longer line is no step of reasoning
_BARE_NUMBER = 4
_TRIES = 4  # equations from the end, until one says something new
# What lists put before a line, "- ", "* ", "1) ", "(a) ", is no sign and no bracket of what it says.
_BULLET = re.compile(r"[ \t]*+(?:[-*+\u2013\u00b7]|\(?(?:[0-9]{1,2}|[a-zA-Z])\))[ \t]++(?=\*\*|[^\s=*/^+-])")
_TABLE_ROW = re.compile(r"[ \t]*+\|[ \t].*\|[ \t]*+")
# A line that begins with "=" goes on with the one before it; LaTeX parts rows by two backslashes, and one display from the next.
_GOES_ON = re.compile(r"(?<!\s)\s++(?:(?:\\\[|\$\$)\s*+)?+&?+[ \t]*+(?==(?!=))")
_LINE_END = re.compile(r"\n|\\\\(?=\s)(?!\s*+=)|(?<=\$\$)\s*+(?=\$\$)|(?<=\\\])\s*+(?=\\\[)")


def extract_key_steps(path: ReasoningPath, max_key_steps: int) -> tuple[tuple[str, ...], ...]:
    """The key steps of a reference path in the order they stand, at most `max_key_steps`; empty when its steps hold none.

    Equations win over named quantities ("red is 4"), these over short phrases with a number, these over lone quantities.
    Raises ValueError for a limit below 1.
    """
    if max_key_steps < 1:
        raise ValueError(f"max_key_steps is {max_key_steps}: at least 1 key step a question is needed")
    chosen = _Chosen(_Steps(path))
    clauses: list[tuple[_Line, int, str]] = []
    equations = _equations(chosen.steps, clauses)
    for line, candidate in equations:
        if chosen.take(line, candidate) == max_key_steps:
            chosen.end_with([*equations])
            return chosen.forms()
    for line, candidate in _statements(clauses):
        if chosen.kept and candidate.rank == _BARE_NUMBER:
            break  # a bare number is met by chance too often: only where a path offers nothing else
        if chosen.take(line, candidate) == max_key_steps:
            break
    return chosen.forms()


def extract_each(reference_paths: Sequence[str], max_key_steps: int) -> list[tuple[tuple[str, ...], ...]]:
    """The key steps of each of these reference paths: one shard of many."""
    return [extract_key_steps(parse(path), max_key_steps) for path in reference_paths]


def _equations(steps: _Steps, clauses: list[tuple[_Line, int, str]]) -> Iterator[tuple[_Line, Candidate]]:
    """Every equation in the order they stand; the clauses that are none are noted, and read only when the equations were not enough."""
    for line in steps.lines():
        equations, others = find(line.joined)
        yield from ((line, equation) for equation in equations)
        clauses += [(line, place, text) for place, text in others]


def _statements(clauses: Sequence[tuple[_Line, int, str]]) -> Iterator[tuple[_Line, Candidate]]:
    """What the other clauses say, by its rank, then in the order they stand."""
    found = [(line, candidate) for line, place, text in clauses for candidate in statements(text, place)]
    # Of bare numbers the last: what a path without anything else comes to, and not what it starts from.
    yield from sorted([one for one in found if one[1].rank < _BARE_NUMBER], key=lambda one: one[1].rank)
    yield from reversed([one for one in found if one[1].rank == _BARE_NUMBER])


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
            self._first = compile_form(self.candidate.first)
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
    """Line `number`, the next of those that may hold a candidate: of step `step`, or, where that is None, all that the steps tell.
    `joined` are its pieces; `aligned` where they are one to a token."""

    number: int
    step: int | None
    normal: NormalText
    joined: str
    aligned: bool

    def stands_alone(self, candidate: Candidate) -> bool:
        """Whether a candidate surely stands at its place in the line, and is part of no more."""
        if not self.aligned or not candidate.needle:
            return False
        first = self.joined.count(" ", 0, candidate.place)
        return stands_alone(self.normal, first, first + candidate.needle.count(" ") - 2)


def _is_one_line(text: str) -> bool:
    """Whether a text has no end of a line within, of the text or of its LaTeX."""
    return "\n" not in text and (not ("\\\\" in text or "$$" in text or "\\]" in text) or _LINE_END.search(text) is None)


def _needs_a_line(text: str) -> bool:
    """Whether a text says something else where another stands before it."""
    return says_power(text) or _BULLET.match(text) is not None


def _lines(text: str) -> Iterator[str]:
    """The lines of a text as they were meant: without bullets, a calculation over several of them as one, a table's cells apart."""
    text = _GOES_ON.sub(_joined, text) if "=" in text and "\n" in text else text
    for line in _LINE_END.split(text):
        yield line.replace("|", ";") if "|" in line and _TABLE_ROW.fullmatch(line) else _without_bullet(line)


def _joined(between: re.Match[str]) -> str:
    return " " if "\n" in between[0] else between[0]


def _without_bullet(line: str) -> str:
    bullet = _BULLET.match(line)
    return line[bullet.end() :] if bullet else line


def _line(number: int, step: int | None, text: str) -> _Line:
    normal = normalise(text)
    joined = normal.joined
    aligned = step is None and joined.count(" ") + 1 == len(normal.pieces) and "" not in normal.pieces
    return _Line(number, step, normal, joined, aligned)


class _Steps:
    """The steps of a path, each normalised once and only when it is looked at."""

    def __init__(self, path: ReasoningPath) -> None:
        self._path = path
        self._normal: dict[int, NormalText] = {}
        self._haystacks: dict[int | None, Haystack] = {}
        self._everywhere: Haystack | None = None

    def lines(self) -> Iterator[_Line]:
        """Every line of every step that may hold a candidate; steps of plain sentences are one line of them all."""
        texts = [step.text for step in self._path.steps]
        whole = ". ".join(texts)
        if max(map(len, texts), default=0) <= _MAX_LINE and _is_one_line(whole) and not any(map(_needs_a_line, texts)):
            told = telling(whole)
            if not has_group(told):
                yield _line(0, None, told)
                return
        numbers = count()
        for place, text in enumerate(texts):
            sentences = len(text) <= _MAX_LINE and _is_one_line(text) and ". " in text and not has_group(text)
            for line in [telling(_without_bullet(text))] if sentences else _lines(text):
                yield _line(next(numbers), place, line[:_MAX_LINE])

    def reach(self, one: _Spelled, line: _Line) -> bool:
        """Does the path say one of the forms, as a whole? `line` is where it comes from."""
        if line.stands_alone(one.candidate):
            return True
        first = one.first()
        if first is not None and self._haystack(line).find(first) is not None:
            return True
        if self._everywhere is None:
            self._everywhere = Haystack(self._path.steps, [self._step(other) for other in range(len(self._path.steps))])
        return any(self._everywhere.find(form) is not None for form in one.compiled())

    def _haystack(self, line: _Line) -> Haystack:
        """The line's step, or all that the steps tell."""
        if line.step not in self._haystacks:
            if line.step is None:
                section, normal = Section(line.normal.text, 0, len(line.normal.text)), line.normal
            else:
                section, normal = self._path.steps[line.step], self._step(line.step)
            self._haystacks[line.step] = Haystack([section], [normal])
        return self._haystacks[line.step]

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
