"""Key steps by rules: the equations, quantities and named things in the steps of a reference path, each with equivalent forms.

Invariant: every key step that comes back matches in the path it came from. The rules need no model and no network; what a strong
language model would add (paper, section 3) is other words for the same thing.
"""

from __future__ import annotations

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
    found = [[(line, *find(line.joined)) for line in of_path] for of_path in lines]
    return [_choose(steps, _best_first(of_path), max_key_steps) for steps, of_path in zip(each, found, strict=True)]


def _choose(steps: _Steps, candidates: Iterator[tuple[_Line, Candidate]], max_key_steps: int) -> tuple[tuple[str, ...], ...]:
    """The first candidates that the path says and that say something new."""
    said = _Said()
    kept: list[tuple[tuple[int, int], tuple[str, ...]]] = []
    for line, candidate in candidates:
        if len(kept) == max_key_steps or (kept and candidate.rank == _BARE_NUMBER):
            break  # a bare number is met by chance too often: only where a path offers nothing else
        one = _Spelled(candidate)
        # Nothing twice: not the same statement again, and not a number that stands in an equation already taken.
        if one.needle and not said.holds(one.needle) and steps.reach(one, line):
            kept.append(((line.number, candidate.place), one.forms()))
            said.add(one)
    return tuple(forms for _, forms in sorted(kept))


def _best_first(found: Sequence[tuple[_Line, list[Candidate], list[tuple[int, str]]]]) -> Iterator[tuple[_Line, Candidate]]:
    """Every candidate by its rank, then in the order they stand; what is no equation is read only when the equations were not enough."""
    clauses = []
    for line, equations, others in found:
        yield from ((line, equation) for equation in equations)
        clauses += [(line, place, text) for place, text in others]
    statements_found = [(line, candidate) for line, place, text in clauses for candidate in statements(text, place)]
    yield from sorted(statements_found, key=lambda one: one[1].rank)


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
        if "\n" not in whole and max(map(len, texts), default=0) <= _MAX_LINE and not any(map(says_power, texts)):
            told = telling(whole)
            if not has_group(told):
                yield _line(0, None, told)
                return
        numbers = count()
        for place, text in enumerate(texts):
            sentences = len(text) <= _MAX_LINE and "\n" not in text and ". " in text and not has_group(text)
            for line in [telling(text)] if sentences else text.split("\n"):
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
