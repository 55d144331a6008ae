"""Pieces of a normal form written as LaTeX, for symbolic comparison."""

from __future__ import annotations

import re
from fractions import Fraction

from r1vl_core.reasoning.spellings import GREEK, word_set

FUNCTIONS = word_set("sin cos tan cot sec csc arcsin arccos arctan log ln lg exp max min gcd lcm mod")
"""Functions that have a LaTeX command of their own name."""

_COMMANDS = {
    "*": "\\cdot",
    "\u221a": "\\sqrt",
    "\u03c0": "\\pi",
    "\u221e": "\\infty",
    "\u00b1": "\\pm",
    "\u00b0": "^{\\circ}",
    "%": "\\%",
    "<=": "\\leq",
    ">=": "\\geq",
    "!=": "\\neq",
}
_LOGARITHM = re.compile(r"log([0-9]{1,3})")
_MAX_DECIMAL = 12


def latex(pieces: list[str]) -> str:
    """LaTeX of pieces; the bracket behind "^" or a root becomes a group.

    >>> latex("√ ( x + 1 ) ^ 0.5".split())
    '\\\\sqrt { x + 1 } ^ {\\\\frac{1}{2}}'
    """
    pieces = _nested(pieces)
    spelled: list[str] = []
    stack: list[bool] = []
    for index, piece in enumerate(pieces):
        before = pieces[index - 1] if index else ""
        if piece == "(":
            stack.append(before in ("^", "\u221a"))
            spelled.append("{" if stack[-1] else "(")
        elif piece == ")":
            spelled.append("}" if stack and stack.pop() else ")")
        elif piece == "\u00b0" and before[:1].isdecimal():
            spelled[-1] = f"(\\frac{{{spelled[-1]} \\pi}}{{180}})"
        elif before == "-" and index > 1 and pieces[index - 2] == "^" and spelled[-1] == "-":
            spelled[-1] = f"{{-{_command(piece, exponent=True)}}}"
        else:
            word = _command(piece, exponent=before == "^")
            if (piece in GREEK or (len(piece) == 1 and piece.isalpha())) and _ends_fraction(pieces[:index][-4:]):
                word = f"\\cdot {word}"  # "1/2 x" is half of x
            argument = before in ("^", "\u221a") or (before == "]" and pieces[index - 4 : index - 2] == ["\u221a", "["])
            spelled.append(f"{{{word}}}" if argument and piece not in "+-[" else word)
    return " ".join(spelled)


def _ends_fraction(pieces: list[str]) -> bool:
    """Do these pieces end in a fraction of two numbers that is no exponent?"""
    top, sign, bottom = pieces[-3:] if len(pieces) > 2 else ("", "", "")
    return sign == "/" and top[:1].isdecimal() and bottom[:1].isdecimal() and (len(pieces) < 4 or pieces[0] != "^")


def _nested(pieces: list[str]) -> list[str]:
    """Powers of powers with brackets: "2 ^ 3 ^ 2" is "2 ^ ( 3 ^ 2 )"."""
    nested: list[str] = []
    opened = 0
    for index, piece in enumerate(pieces):
        is_tower = piece == "^" and nested[-2:-1] == ["^"]
        if is_tower:
            nested.insert(-1, "(")
            opened += 1
        elif opened and piece != "^" and pieces[index - 1] != "^":
            nested += [")"] * opened
            opened = 0
        nested.append(piece)
    return nested + [")"] * opened


def _command(piece: str, *, exponent: bool) -> str:
    if exponent and "." in piece and len(piece) <= _MAX_DECIMAL and "e" not in piece:  # a root is exact only as a fraction
        power = Fraction(piece)
        return f"\\frac{{{power.numerator}}}{{{power.denominator}}}"
    logarithm = _LOGARITHM.fullmatch(piece)
    if logarithm:
        return f"\\log_{{{logarithm[1]}}}"
    return _COMMANDS.get(piece, f"\\{piece}" if piece in FUNCTIONS or piece in GREEK else piece)
