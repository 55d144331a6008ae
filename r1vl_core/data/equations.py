"""The equations of a line in normal form, each whole: what is only cut out of a larger expression is none."""

from __future__ import annotations

import re
from itertools import pairwise

from r1vl_core.reasoning.equivalents import holds
from r1vl_core.reasoning.spellings import word_set
from r1vl_core.reasoning.units import UNITS

OPERATORS = frozenset("+-*/^")
_BEHIND = re.compile(r" ([^ ]++)(?: ([^ ]++))?")
_LONG_WORD = re.compile("[a-z]{2}")
_POWER_AT_END = re.compile(r"\^ [0-9]++\Z")
_UNIT_LETTERS = "".join(sorted(unit for unit in UNITS if len(unit) == 1 and "a" <= unit <= "z"))
# A number with what it stands before: "36 \u03c0", "3 x", and "27 \u00b0 c" or "4 cm" where the reckoning goes on behind the unit; the one
# at its end is left out, as people do.
_MULTIPLE = rf"(?: \u03c0(?![^ ]))?+(?: (?:(?![{_UNIT_LETTERS}])[a-z](?<!x)[0-9]?+(?![^ ])|x(?![^ ])|[a-z]{{1,12}}(?= [-+*/^=] )))?+"
_UNIT_WITHIN = re.compile(rf"[a-z]{{2}}|[0-9] [{_UNIT_LETTERS}](?![^ ])")
_TRAILING_UNIT = re.compile(
    rf"(?<=[0-9]) (?:[a-z]{{2,12}}(?: \^ [23]| / [a-z]{{1,12}}(?: \^ 2)?)?|[{_UNIT_LETTERS}] / [{_UNIT_LETTERS}](?: \^ 2)?)\Z"
)
_ATOM = (
    rf"(?:[0-9][0-9.e]*+(?![^ ]){_MULTIPLE}|[a-z][0-9]?+|\u03c0(?: [a-z](?![^ ]))?+|\u221a [0-9][0-9.]*+)(?![^ ])"
    r"(?: [\u00b0%](?![^ ])(?: [cf](?![^ ]))?+)?+"
)
_SIDE = rf"(?:[(] |- )*+{_ATOM}(?: [)])*+(?: [-+*/^] (?:[(] |- )*+{_ATOM}(?: [)])*+)*+"
SIDES = re.compile(rf"(?<![^ ]){_SIDE}(?: = {_SIDE})*+(?![^ ])")
"""Expressions of numbers and letters, joined by equals signs or alone."""
_RIGHT_SIDE = re.compile(r" = (?:[(] |- )*+(?:[0-9\u03c0\u221a]|[a-z](?![a-z]))")
FUNCTIONS = word_set("sin cos tan cot sec csc arcsin arccos arctan log ln lim max min exp det gcd lcm")
# What stands before or behind an equation and belongs to it: then it is half of one.
_CUT_BEFORE = OPERATORS | FUNCTIONS | frozenset((")", "]", "?", "|", "\u221a"))
_CUT_BEHIND = OPERATORS | frozenset(("(", "[", "?", "!", "|", "\u03c0", "\u221a"))


def equations(line: str, start: int, end: int) -> list[tuple[int, str, list[str]]]:
    """Every a = b in a clause, from which place on, and its pieces; a chain a = b = c gives two.

    >>> equations("so 6 / 3 = 2", 0, 12)
    [(3, '6 / 3 = 2', ['6', '/', '3', '=', '2'])]
    """
    found = []
    # "it is because": three clauses with an "is" in four are no equations
    runs = SIDES.finditer(line, start, end) if _RIGHT_SIDE.search(line, start, end) else ()
    for run in runs:
        if " = " not in run[0]:
            continue
        place, sides = run.start(), _sides(line, run, end)
        first = 1 if place > start and _is_cut_before(line, start, run) else 0
        for number, (left, right) in enumerate(pairwise(sides)):
            if number >= first and left != right:
                equation = f"{left} = {right}"
                pieces = equation.split(" ")
                if _says_something(equation, pieces):
                    found.append((place, equation, pieces))
            place += len(left) + 3
    return found


def _sides(line: str, run: re.Match[str], end: int) -> list[str]:
    """The sides of an equation, without a last one that goes on behind it, and with the unit that belongs to it."""
    sides = run[0].split(" = ")
    behind = _BEHIND.match(line, run.end(), end)
    if behind is not None:
        if _is_cut_behind(run[0], behind[1], behind[2]):
            return sides[:-1]
        sides[-1] += _unit_behind(run[0], behind[1])
    if " " in sides[-1] and not _UNIT_WITHIN.search(run[0], 0, run[0].rindex(" = ")):
        sides[-1] = _TRAILING_UNIT.sub("", sides[-1])
    return sides


def _is_cut_before(line: str, start: int, run: re.Match[str]) -> bool:
    """Does what stands before an equation belong to it: a sign, a function, what a bracket is multiplied with?"""
    rest, _, before = line[start : run.start() - 1].rpartition(" ")
    if before in UNITS and rest[-1:].isdecimal():
        return True  # "5 ft 6 in = 66 in"
    return before in _CUT_BEFORE or (run[0][0] == "(" and ((len(before) == 1 and before != "=") or before[:1].isdecimal()))


def _is_cut_behind(run: str, piece: str, following: str | None) -> bool:
    """Does what stands behind an equation belong to it: a sign, a factor, a word before a sign ("5 apples + …")?"""
    if piece in _CUT_BEHIND or piece in FUNCTIONS or following in OPERATORS:
        return True
    if len(piece) > 1 or not piece.isalpha():
        return piece[0].isdecimal()
    return piece not in UNITS or _POWER_AT_END.search(run) is not None  # a letter behind a power is no unit: "r ^ 2 h"


def _unit_behind(run: str, piece: str) -> str:
    """The unit behind an equation that is one of units: "1 kg = 1000 g", while "9 + 5 = 14 cm" says that 9 + 5 = 14."""
    return f" {piece}" if piece in UNITS and piece.isalpha() and _UNIT_WITHIN.search(run) else ""


def _says_something(equation: str, pieces: list[str]) -> bool:
    """A whole equation that is not known to be wrong, of more than two numbers, and without words that are no units."""
    if (")" in equation or "(" in equation) and any(side.count("(") != side.count(")") for side in equation.split(" = ")):
        return False
    if OPERATORS.isdisjoint(pieces) and "\u221a" not in pieces and not any(map(str.isalpha, pieces)):
        return False
    if _LONG_WORD.search(equation) and not all(len(piece) == 1 or piece in UNITS for piece in pieces if piece.isalpha()):
        return False
    return holds(pieces) is not False
