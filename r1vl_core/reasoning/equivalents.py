"""Equivalent forms: the other ways to write an equation or a statement that say exactly the same.

Every generated equation has the value of its source: division spellings, multiplication signs, words for operators, commuted sums and
products, sides exchanged. Nothing is evaluated by the interpreter; `evaluate` reads the four operations itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import permutations

from r1vl_core.reasoning.normal_form import normalise

MAX_FORMS = 12
"""Forms of one key step, at most; the source comes first."""

_WORDS = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
_MAX_COMMUTED = 3  # operands; their 3! orders are all written out
_MAX_DEPTH = 20


def equation_forms(equation: str) -> tuple[str, ...]:
    """An equation and its equivalents, the source first, without repeats.

    >>> equation_forms("6 / 3 = 2")[:4]
    ('6 / 3 = 2', '6/3 = 2', '\\\\frac{6}{3} = 2', '6 divided by 3 equals 2')
    """
    pieces = normalise(equation).joined.split()
    forms = [equation]
    if pieces.count("=") == 1:
        at = pieces.index("=")
        left, right = pieces[:at], pieces[at + 1 :]
        if left and right:
            forms += _spellings(left, right)
    return tuple(dict.fromkeys(forms))[:MAX_FORMS]


def statement_forms(name: str, value: str) -> tuple[str, ...]:
    """ "largest digit", "9" -> "largest digit is 9", "largest digit = 9", "largest digit equals 9", "9 is the largest digit"."""
    forms = (f"{name} is {value}", f"{name} = {value}", f"{name} equals {value}")
    return (*forms, f"{value} is the {name}") if " " in name else forms


def _spellings(left: list[str], right: list[str]) -> Iterator[str]:
    result, operation = (" ".join(right), left) if len(left) >= len(right) else (" ".join(left), right)
    operands, operator = operation[0::2], operation[1] if len(operation) > 2 else ""
    plain = all(_is_operand(operand) for operand in operands) and set(operation[1::2]) == {operator} and len(operation) % 2 == 1
    if not plain or operator not in _WORDS:
        yield f"{' '.join(right)} = {' '.join(left)}"
        return
    if operator == "/" and len(operands) == 2:
        yield f"{operands[0]}/{operands[1]} = {result}"
        yield f"\\frac{{{operands[0]}}}{{{operands[1]}}} = {result}"
    yield f"{' '.join(operation)} = {result}"
    yield f"{f' {_WORDS[operator]} '.join(operands)} equals {result}"
    if operator in "+*" and len(operands) <= _MAX_COMMUTED:
        yield from (f"{f' {operator} '.join(order)} = {result}" for order in permutations(operands))
    yield f"{result} = {' '.join(operation)}"
    if operator == "/" and len(operands) == 2:
        yield f"{operands[0]} \u00f7 {operands[1]} = {result}"
    if operator == "*":
        yield from (f"{f' {sign} '.join(operands)} = {result}" for sign in ("\u00d7", "\u00b7", "\\times", "\\cdot"))


def _is_operand(piece: str) -> bool:
    return piece[0].isdecimal() or (len(piece) == 1 and piece.isalpha())


def is_true(equation: str) -> bool | None:
    """Does an equation between numbers hold, to within one unit in a hundred (rounded results)? None when it holds other things."""
    sides: list[list[str]] = [[]]
    for piece in normalise(equation).joined.split():
        if piece == "=":
            sides.append([])
        else:
            sides[-1].append(piece)
    values = [evaluate(side) for side in sides]
    known = [value for value in values if value is not None]
    if len(known) < len(values) or len(values) < 2:
        return None
    return all(abs(value - known[0]) <= abs(known[0]) / 100 for value in known)


def evaluate(pieces: list[str]) -> Fraction | None:
    """The value of numbers joined by + - * / and brackets, exactly; None for anything else and for a division by zero."""
    if not pieces or len(pieces) > 60:
        return None
    value, at = _sum(pieces, 0, 0)
    return value if at == len(pieces) else None


def _sum(pieces: list[str], at: int, depth: int) -> tuple[Fraction | None, int]:
    total, at = _product(pieces, at, depth)
    while total is not None and at < len(pieces) and pieces[at] in "+-":
        sign = 1 if pieces[at] == "+" else -1
        term, at = _product(pieces, at + 1, depth)
        total = None if term is None else total + sign * term
    return total, at


def _product(pieces: list[str], at: int, depth: int) -> tuple[Fraction | None, int]:
    total, at = _operand(pieces, at, depth)
    while total is not None and at < len(pieces) and pieces[at] in "*/":
        divide = pieces[at] == "/"
        factor, at = _operand(pieces, at + 1, depth)
        if factor is None or (divide and not factor):
            return None, at
        total = total / factor if divide else total * factor
    return total, at


def _operand(pieces: list[str], at: int, depth: int) -> tuple[Fraction | None, int]:
    if at >= len(pieces) or depth > _MAX_DEPTH:
        return None, at
    piece = pieces[at]
    if piece == "-":
        value, at = _operand(pieces, at + 1, depth + 1)
        return (None if value is None else -value), at
    if piece == "(":
        value, at = _sum(pieces, at + 1, depth + 1)
        closed = at < len(pieces) and pieces[at] == ")"
        return (value, at + 1) if closed else (None, at)
    return (Fraction(piece), at + 1) if piece[0].isdecimal() and "e" not in piece and len(piece) < 30 else (None, at)
