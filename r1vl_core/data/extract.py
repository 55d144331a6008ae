"""Key steps by rules: the equations, quantities and named things in the steps of a reference path, each with equivalent forms.

Invariant: every key step that comes back matches in the path it came from. The rules need no model and no network; what a strong
language model would add (paper, section 3) is other words for the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from r1vl_core.reasoning.equivalents import holds, is_true, spellings, statement_forms, value_forms
from r1vl_core.reasoning.groups import is_grouped
from r1vl_core.reasoning.key_steps import CompiledForm, Haystack, compile_form, compile_pieces
from r1vl_core.reasoning.normal_form import NormalText, normalise
from r1vl_core.reasoning.paths import ReasoningPath, Section, parse
from r1vl_core.reasoning.spellings import PIECES, SIGNS, word_set
from r1vl_core.reasoning.units import UNITS

_ATOM = r"(?:[0-9][0-9.e]*+|[a-z][0-9]?+|\u03c0|\u221a [0-9][0-9.]*+)(?![^ ])(?: [\u00b0%](?![^ ]))?+"
_SIDE = rf"(?:[(] |- )*+{_ATOM}(?: [)])*+(?: [-+*/^] (?:[(] |- )*+{_ATOM}(?: [)])*+)*+"
_SIDES = re.compile(rf"(?<![^ ]){_SIDE}(?: = {_SIDE})*+(?![^ ])")
_RIGHT_SIDE = re.compile(r" = (?:[(] |- )*+(?:[0-9\u03c0\u221a]|[a-z](?![a-z]))")
_BREAKS = frozenset((".", ",", ";", ":", "!", "?"))
_FILLER = word_set(
    "so then thus therefore hence now and the a an we have has that get gets got first next finally because since but also this which "
    "there are means find see it its of"
)
_LINKS = word_set("and or are than of the in on at with by to")
_MAX_NAME = 5
_MAX_PHRASE_WORDS = 4
_MAX_PHRASE = 40
_SAYS_SOMETHING = re.compile(r"[=\d]")  # a line without either has no candidate
_WORDS_ALONE = re.compile(r"[A-Za-z ,'-]*+[.!?]?+")
_EQUALS = frozenset(word for word, piece in PIECES.items() if "=" in piece)
_WORD_ENDS = str.maketrans(",-.!?", "     ")
_MAX_LINE = 4000  # characters; a longer line is no step of reasoning


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Something said in a step: `rank` 0 for an equation, 1 for a named quantity, 2 for a phrase, 3 for a name or a
    quantity with its unit, 4 for a bare number. `first` is its first form, `spell` gives all of them: few candidates are kept.
    `pieces` are the first form's where it is known to be in normal form."""

    rank: int
    first: str
    spell: Callable[[], tuple[str, ...]]
    pieces: tuple[str, ...] = ()


def extract_key_steps(path: ReasoningPath, max_key_steps: int) -> tuple[tuple[str, ...], ...]:
    """The key steps of a reference path in the order they stand, at most `max_key_steps`; empty when its steps hold none.

    Equations win over named quantities ("red is 4"), these over short phrases with a number, these over lone quantities.
    Raises ValueError for a limit below 1.
    """
    if max_key_steps < 1:
        raise ValueError(f"max_key_steps is {max_key_steps}: at least 1 key step a question is needed")
    steps = _Steps(path)
    found = [(number, candidate) for number, line in steps.lines() for candidate in _candidates(line)]
    kept: list[tuple[int, tuple[str, ...]]] = []
    seen: list[_Spelled] = []
    for position, (number, candidate) in sorted(enumerate(found), key=lambda item: (item[1][1].rank, item[0])):
        if len(kept) == max_key_steps or (kept and candidate.rank == 4):
            break  # a bare number is met by chance too often: only where a path offers nothing else
        said = _Spelled(candidate)
        # Nothing twice: not the same statement again, and not a number that stands in an equation already taken.
        if said.needle is not None and not any(other.holds(said.needle) for other in seen) and steps.reach(said, number):
            kept.append((position, said.forms()))
            seen.append(said)
    return tuple(forms for _, forms in sorted(kept))


def extract_each(reference_paths: Sequence[str], max_key_steps: int) -> list[tuple[tuple[str, ...], ...]]:
    """The key steps of each of these reference paths: one shard of many."""
    return [extract_key_steps(parse(path), max_key_steps) for path in reference_paths]


class _Spelled:
    """A candidate with its forms, each compiled only when it is asked for; `needle` is the first one's."""

    def __init__(self, candidate: _Candidate) -> None:
        self._spell = candidate.spell
        self._forms: tuple[str, ...] | None = None
        self._compiled: list[CompiledForm] | None = None
        self._text = ""
        pieces = list(candidate.pieces)
        self.first = compile_pieces(candidate.first, pieces) if pieces else compile_form(candidate.first)
        self.needle = self.first.needle if self.first is not None else next((form.needle for form in self.compiled()), None)

    def forms(self) -> tuple[str, ...]:
        """All of them, the first one first."""
        if self._forms is None:
            self._forms = self._spell()
            self._text = " ".join(self._forms).lower()
        return self._forms

    def compiled(self) -> list[CompiledForm]:
        """Those that say something."""
        if self._compiled is None:
            self._compiled = [form for form in map(compile_form, self.forms()) if form is not None]
        return self._compiled

    def holds(self, needle: str) -> bool:
        """Does a needle stand in one of the forms'?"""
        if self.first is not None and needle in self.first.needle:
            return True
        self.forms()
        # Generated forms have the words and numbers of their text: where one of the needle's is missing, no form need be compiled.
        for piece in needle.split():
            if piece[0].isascii() and piece[0].isalnum() and piece not in self._text:
                return False
        return any(needle in form.needle for form in self.compiled())


class _Steps:
    """The steps of a path, each normalised once and only when it is looked at."""

    def __init__(self, path: ReasoningPath) -> None:
        self._path = path
        self._normal: dict[int, NormalText] = {}
        self._telling: dict[int, tuple[Section, NormalText]] = {}
        self._haystacks: dict[int, Haystack] = {}

    def lines(self) -> Iterator[tuple[int, NormalText]]:
        """Every line of every step that may hold a candidate, with the step's place."""
        for number, step in enumerate(self._path.steps):
            if "\n" not in step.text and len(step.text) <= _MAX_LINE:
                text = telling(step.text)
                self._telling[number] = Section(text, 0, len(text)), normalise(text)
                yield number, self._telling[number][1]
            else:
                yield from ((number, normalise(line[:_MAX_LINE])) for line in step.text.split("\n"))

    def reach(self, said: _Spelled, number: int) -> bool:
        """Does the path say one of the forms, as a whole? Step `number` is where it comes from."""
        if number not in self._haystacks:
            section, normal = self._telling.get(number) or (self._path.steps[number], self._step(number))
            self._haystacks[number] = Haystack([section], [normal])
        if said.first is not None and self._haystacks[number].find(said.first) is not None:
            return True
        everywhere = Haystack(self._path.steps, [self._step(other) for other in range(len(self._path.steps))])
        return any(everywhere.find(form) is not None for form in said.compiled())

    def _step(self, number: int) -> NormalText:
        if number not in self._normal:
            self._normal[number] = normalise(self._path.steps[number].text)
        return self._normal[number]


def telling(line: str) -> str:
    """A line without its sentences of nothing but words: they hold no candidate, and what stands in other sentences says the same without
    them. Half of a reference path are such, and most of the time goes into normal forms.

    >>> telling("Now we add them. 5 + 7 = 12. So both sides agree.")
    '5 + 7 = 12.'
    """
    if ". " not in line or is_grouped(line.lower() if line.isascii() else line.translate(SIGNS).lower()):
        return line  # a LaTeX group that is left open reaches over the end of a sentence
    sentences = line.split(". ")
    kept = [sentence for sentence in sentences if not _is_prose(sentence)]
    if len(kept) == len(sentences):
        return line
    return ". ".join(kept) + ("." if kept and kept[-1] is not sentences[-1] else "")


def _is_prose(sentence: str) -> bool:
    """Words alone, and none of them reads as an equals sign."""
    return bool(_WORDS_ALONE.fullmatch(sentence)) and _EQUALS.isdisjoint(sentence.lower().translate(_WORD_ENDS).split())


def generated_forms(core: str) -> tuple[str, ...]:
    """The equivalents that rules generate for a key step, itself first; none for what is neither equation nor quantity.

    >>> generated_forms("6 / 3 = 2")[:2]
    ('6 / 3 = 2', '6/3 = 2')
    """
    source = compile_form(core)
    for candidate in _candidates(normalise(core)):
        first = compile_form(candidate.first)
        if source is not None and first is not None and first.needle == source.needle:
            return candidate.spell()
    return ()


def _candidates(line: NormalText) -> Iterator[_Candidate]:
    joined = line.joined
    if not _SAYS_SOMETHING.search(joined):
        return
    for clause in _clauses(joined.split()):
        equations = list(_equations(" ".join(clause))) if "=" in clause else []
        yield from equations
        if not equations:
            yield from _statements(clause)


def _clauses(pieces: list[str]) -> Iterator[list[str]]:
    """The parts of a line between punctuation marks; a comma between numbers ("3, 7 and 2") and a colon behind a verb part nothing."""
    start = 0
    for index in [index for index, piece in enumerate(pieces) if piece in _BREAKS]:
        before = pieces[index - 1] if index > start else ""
        following = pieces[index + 1] if index + 1 < len(pieces) else ""
        listing = pieces[index] == "," and before[:1].isdecimal() and following[:1].isdecimal()
        if listing or (pieces[index] == ":" and before in ("are", "=")):
            continue
        yield pieces[start:index]
        start = index + 1
    yield pieces[start:]


def _equations(clause: str) -> Iterator[_Candidate]:
    """Every a = b in a clause; a chain a = b = c gives two."""
    if not _RIGHT_SIDE.search(clause):
        return  # "it is because": three clauses with an "is" in four
    for run in _SIDES.finditer(clause):
        sides = run[0].split(" = ")
        for left, right in pairwise(sides):
            equation = f"{left} = {right}"
            pieces = equation.split()
            says_something = left != right and any(piece.isalpha() or piece in "+-*/^" for piece in pieces)
            if says_something and pieces.count("(") == pieces.count(")") and holds(pieces) is not False:
                yield _Candidate(0, equation, partial(spellings, equation, pieces), tuple(pieces))


def _statements(clause: list[str]) -> Iterator[_Candidate]:
    """What a clause without an equation says: "NAME is VALUE", a short phrase with a number, or at least its quantities."""
    while clause and clause[0] in _FILLER:
        clause = clause[1:]
    numbers = [index for index, piece in enumerate(clause) if piece[0].isdecimal()]
    if len(clause) == 2 and clause[0].isalpha() and numbers == [1]:
        return  # "row 2" names a place and says nothing
    if clause.count("=") == 1 and clause[0] != "=" and clause[-1] != "=":
        at = clause.index("=")
        name, value = " ".join(clause[:at]), " ".join(clause[at + 1 :])
        if name == value or (not any(map(str.isalpha, clause)) and is_true(" ".join(clause)) is False):
            return
        if at <= _MAX_NAME and len(clause) - at <= 4 and "not" not in clause:
            is_quantity = value[0].isdecimal()
            said = f"{name} is {value}"
            yield _Candidate(1, said, partial(statement_forms, name, value)) if is_quantity else _alone(3, said)
            return
    num_words = sum(piece.isalpha() and piece not in _LINKS for piece in clause) if numbers else 0
    if numbers and num_words <= _MAX_PHRASE_WORDS and 1 < len(clause) <= _MAX_PHRASE and "=" not in clause:
        yield _alone(2, " ".join(clause))
        return
    for index in numbers:
        unit = clause[index + 1] if index + 1 < len(clause) and len(clause[index + 1]) > 1 and clause[index + 1] in UNITS else ""
        value = f"{clause[index]} {unit}".strip()
        yield _Candidate(3 if unit else 4, value, partial(value_forms, value))


def _alone(rank: int, form: str) -> _Candidate:
    return _Candidate(rank, form, lambda: (form,))
