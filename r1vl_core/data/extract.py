"""Key steps by rules: the equations, quantities and named things in the steps of a reference path, each with equivalent forms.

Invariant: every key step that comes back matches in the path it came from. The rules need no model and no network; what a strong
language model would add (paper, section 3) is other words for the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from r1vl_core.reasoning.equivalents import equation_forms, is_true, statement_forms, value_forms
from r1vl_core.reasoning.key_steps import CompiledKeySteps, compile_form, match
from r1vl_core.reasoning.normal_form import normalise, word_set
from r1vl_core.reasoning.paths import ReasoningPath, parse
from r1vl_core.reasoning.units import UNITS

_ATOM = r"(?:[0-9][0-9.e]*+|[a-z][0-9]?+|\u03c0|\u221a [0-9][0-9.]*+)(?![^ ])(?: [\u00b0%](?![^ ]))?+"
_SIDE = rf"(?:[(] |- )*+{_ATOM}(?: [)])*+(?: [-+*/^] (?:[(] |- )*+{_ATOM}(?: [)])*+)*+"
_SIDES = re.compile(rf"(?<![^ ]){_SIDE}(?: = {_SIDE})*+(?![^ ])")
_BREAKS = frozenset((".", ",", ";", ":", "!", "?"))
_FILLER = word_set(
    "so then thus therefore hence now and the a an we have has that get gets got first next finally because since but also this which "
    "there are means find see it its of"
)
_LINKS = word_set("and or are than of the in on at with by to")
_MAX_NAME = 5
_MAX_PHRASE_WORDS = 4
_MAX_PHRASE = 40
_MAX_LINE = 4000  # characters; a longer line is no step of reasoning


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Something said in a step: `rank` 0 for an equation, 1 for a named quantity, 2 for a phrase, 3 for a name or a
    quantity with its unit, 4 for a bare number."""

    rank: int
    forms: tuple[str, ...]


def extract_key_steps(path: ReasoningPath, max_key_steps: int) -> tuple[tuple[str, ...], ...]:
    """The key steps of a reference path in the order they stand, at most `max_key_steps`; empty when its steps hold none.

    Equations win over named quantities ("red is 4"), these over short phrases with a number, these over lone quantities.
    Raises ValueError for a limit below 1.
    """
    if max_key_steps < 1:
        raise ValueError(f"max_key_steps is {max_key_steps}: at least 1 key step a question is needed")
    kept: list[tuple[int, _Candidate]] = []
    seen: list[str] = []
    found = [candidate for step in path.steps for line in step.text.split("\n") for candidate in _candidates(line[:_MAX_LINE])]
    for position, candidate in sorted(enumerate(found), key=lambda item: (item[1].rank, item[0])):
        if len(kept) == max_key_steps or (kept and candidate.rank == 4):
            break  # a bare number is met by chance too often: only where a path offers nothing else
        compiled = [form for form in map(compile_form, candidate.forms) if form is not None]
        # Nothing twice: not the same statement again, and not a number that stands in an equation already taken.
        if not compiled or any(compiled[0].needle in other for other in seen):
            continue
        if match(path, CompiledKeySteps(groups=(tuple(compiled),)))[0] is None:
            continue
        kept.append((position, candidate))
        seen += [form.needle for form in compiled]
    return tuple(candidate.forms for _, candidate in sorted(kept, key=lambda item: item[0]))


def extract_each(reference_paths: Sequence[str], max_key_steps: int) -> list[tuple[tuple[str, ...], ...]]:
    """The key steps of each of these reference paths: one shard of many."""
    return [extract_key_steps(parse(path), max_key_steps) for path in reference_paths]


def _candidates(line: str) -> Iterator[_Candidate]:
    for clause in _clauses(normalise(line).joined.split()):
        equations = list(_equations(" ".join(clause)))
        yield from equations
        if not equations:
            yield from _statements(clause)


def _clauses(pieces: list[str]) -> Iterator[list[str]]:
    """The parts of a line between punctuation marks; a comma between numbers ("3, 7 and 2") and a colon behind a verb part nothing."""
    clause: list[str] = []
    for index, piece in enumerate(pieces):
        following = pieces[index + 1] if index + 1 < len(pieces) else ""
        before = clause[-1] if clause else ""
        listing = piece == "," and before[:1].isdecimal() and following[:1].isdecimal()
        if piece not in _BREAKS or listing or (piece == ":" and before in ("are", "=")):
            clause.append(piece)
            continue
        yield clause
        clause = []
    yield clause


def _equations(clause: str) -> Iterator[_Candidate]:
    """Every a = b in a clause; a chain a = b = c gives two."""
    for run in _SIDES.finditer(clause):
        sides = run[0].split(" = ")
        for left, right in pairwise(sides):
            equation = f"{left} = {right}"
            says_something = left != right and any(piece.isalpha() or piece in "+-*/^" for piece in equation.replace("=", " ").split())
            if says_something and equation.count("(") == equation.count(")") and is_true(equation) is not False:
                yield _Candidate(0, equation_forms(equation))


def _statements(clause: list[str]) -> Iterator[_Candidate]:
    """What a clause without an equation says: "NAME is VALUE", a short phrase with a number, or at least its quantities."""
    while clause and clause[0] in _FILLER:
        clause = clause[1:]
    numbers = [index for index, piece in enumerate(clause) if piece[0].isdecimal()]
    words = [piece for piece in clause if piece.isalpha() and piece not in _LINKS]
    if len(clause) == 2 and clause[0].isalpha() and numbers == [1]:
        return  # "row 2" names a place and says nothing
    if clause.count("=") == 1 and clause[0] != "=" and clause[-1] != "=":
        at = clause.index("=")
        name, value = " ".join(clause[:at]), " ".join(clause[at + 1 :])
        if name == value or is_true(" ".join(clause)) is False:
            return
        if at <= _MAX_NAME and len(clause) - at <= 4 and "not" not in clause:
            is_quantity = value[0].isdecimal()
            yield _Candidate(1, statement_forms(name, value)) if is_quantity else _Candidate(3, (f"{name} is {value}",))
            return
    if numbers and len(words) <= _MAX_PHRASE_WORDS and 1 < len(clause) <= _MAX_PHRASE and "=" not in clause:
        yield _Candidate(2, (" ".join(clause),))
        return
    for index in numbers:
        unit = clause[index + 1] if index + 1 < len(clause) and len(clause[index + 1]) > 1 and clause[index + 1] in UNITS else ""
        yield _Candidate(3 if unit else 4, value_forms(f"{clause[index]} {unit}".strip()))
