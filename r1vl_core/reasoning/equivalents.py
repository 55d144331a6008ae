"""Equivalent forms: the other ways to write an equation or a statement that say exactly the same.

Every generated equation has the value of its source: division spellings, multiplication signs, words for operators, commuted sums and
products, sides exchanged, decimals and fractions, units spelled out. Nothing is evaluated by the interpreter; `evaluate` reads the four
operations itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import permutations
from operator import add, itemgetter, mul, sub

from r1vl_core.reasoning.normal_form import normalise
from r1vl_core.reasoning.units import spelled_out

MAX_FORMS = 12
"""Forms of one key step, at most; the source comes first."""

_WORDS = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
_RECKON: dict[str, Callable[[Fraction | int, Fraction | int], Fraction | int]] = {"+": add, "-": sub, "*": mul}
_MAX_COMMUTED = 3  # operands; their 3! orders are all written out
_MAX_DEPTH = 20
_SIGNS = frozenset("+-*/^=")
_DIGIT = re.compile("[0-9]")
_MAX_DIGITS = 30
_DECIMAL = re.compile(rf"[0-9]{{1,{_MAX_DIGITS}}}\.[0-9]{{1,{_MAX_DIGITS}}}")
_MAX_DENOMINATOR = 1000
_MAX_PLACES = 4


def equation_forms(equation: str) -> tuple[str, ...]:
    """An equation and its equivalents, the source first, without repeats.

    >>> equation_forms("6 / 3 = 2")[:4]
    ('6 / 3 = 2', '6/3 = 2', '\\\\frac{6}{3} = 2', '6 divided by 3 equals 2')
    """
    return spellings(equation, normalise(equation).joined.split())


def spellings(equation: str, pieces: list[str]) -> tuple[str, ...]:
    """`equation_forms` for an equation whose pieces in normal form are known."""
    forms = [equation]
    if _is_plain(pieces):
        pattern, operands = _pattern(tuple(pieces[1::2]))
        forms += (pattern % operands(pieces[0::2])).split("\n")
    elif pieces.count("=") == 1 and "=" not in (pieces[0], pieces[-1]):
        at = pieces.index("=")
        forms += _spellings(pieces[:at], pieces[at + 1 :])
    else:
        return (equation,)
    if pieces[-2] != "=" or not pieces[-1].isdecimal():  # a whole number has no other spelling
        at = pieces.index("=")
        forms += [f"{' '.join(pieces[:at])} = {value}" for value in value_forms(" ".join(pieces[at + 1 :]))[1:]]
    return tuple(dict.fromkeys(forms))[:MAX_FORMS]


def _is_plain(pieces: list[str]) -> bool:
    """Operands with a sign between each two of them, one of these "=", and few."""
    if len(pieces) not in (5, 7, 9) or pieces.count("=") != 1 or not _SIGNS.issuperset(pieces[1::2]):
        return False
    operands = pieces[0::2]
    return "".join(operands).isdecimal() or all(map(_is_operand, operands))


@lru_cache(maxsize=4096)
def _pattern(signs: tuple[str, ...]) -> tuple[str, Callable[[list[str]], tuple[str, ...]]]:
    """Every spelling of a plain equation with these signs, a line each, and what picks the operands in it."""
    pieces = [piece for place, sign in enumerate((*signs, "")) for piece in (str(place), sign)][:-1]
    at = pieces.index("=")
    forms = "\n".join(_spellings(pieces[:at], pieces[at + 1 :]))
    return _DIGIT.sub("%s", forms), itemgetter(*map(int, _DIGIT.findall(forms)))


def statement_forms(name: str, value: str) -> tuple[str, ...]:
    """ "largest digit", "9" -> "largest digit is 9", "largest digit = 9", "largest digit equals 9", "9 is the largest digit"."""
    forms = [f"{name} is {value}", f"{name} = {value}", f"{name} equals {value}"]
    forms += [f"{value} is the {name}"] * (" " in name)
    return (*forms, *(f"{name} is {other}" for other in value_forms(value)[1:]))


@lru_cache(maxsize=2**14)  # the same small quantities come up again and again
def value_forms(value: str) -> tuple[str, ...]:
    """A number, with its unit or without, and its other spellings: a short decimal and its fraction, the unit's short and long names.

    >>> value_forms("0.5"), value_forms("10 cm")
    (('0.5', '1/2', '\\\\frac{1}{2}'), ('10 cm', '10 centimeters', '10 centimetres'))
    """
    if value.isdecimal():  # a whole number without a unit has no other spelling
        return (value,)
    pieces = value.split()
    at = next((index for index, piece in enumerate(pieces) if index and piece.isalpha()), len(pieces))
    number, unit = _value(pieces[:at]), " ".join(pieces[at:])
    if number is None:
        return (value,)
    numbers = [" ".join(pieces[:at]), *_number_spellings(pieces[:at], number)]
    if not unit:
        return tuple(dict.fromkeys((value, *numbers)))
    units = [unit, *(() if number == 1 else spelled_out(unit))]
    return tuple(dict.fromkeys((value, *(f"{one} {other}".strip() for one in numbers for other in units))))


def _number_spellings(pieces: list[str], number: Fraction | int) -> Iterator[str]:
    """The fraction of a decimal, or the decimal of a fraction where it ends soon."""
    if len(pieces) == 1 and "." in pieces[0] and number.denominator <= _MAX_DENOMINATOR:
        yield f"{number.numerator}/{number.denominator}"
        yield f"\\frac{{{number.numerator}}}{{{number.denominator}}}"
    if len(pieces) == 3 and pieces[1] == "/":
        tenths, left = divmod(number.numerator * 10**_MAX_PLACES, number.denominator)
        if not left and number.denominator > 1:
            yield f"{tenths / 10**_MAX_PLACES:.{_MAX_PLACES}f}".rstrip("0")


def _spellings(left: list[str], right: list[str]) -> Iterator[str]:
    result, operation = (" ".join(right), left) if len(left) >= len(right) else (" ".join(left), right)
    operands, operator = operation[0::2], operation[1] if len(operation) > 2 else ""
    plain = operator in _WORDS and len(operation) % 2 == 1 and set(operation[1::2]) == {operator} and all(map(_is_operand, operands))
    if not plain:
        yield f"{' '.join(right)} = {' '.join(left)}"
        yield from (f"{total} = {result}" for total in _commuted_terms(operation))
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


def _commuted_terms(operation: list[str]) -> Iterator[str]:
    """A sum of products or quotients in every order of its terms; nothing where a bracket, a minus or a power stands."""
    terms = " ".join(operation).split(" + ")
    plain = all(_is_operand(piece) or piece in "+*/" for piece in operation)
    if plain and 2 <= len(terms) <= _MAX_COMMUTED:
        yield from (" + ".join(order) for order in permutations(terms))


def _is_operand(piece: str) -> bool:
    return piece[0].isdecimal() or (len(piece) == 1 and piece.isalpha())


def is_true(equation: str) -> bool | None:
    """Does an equation between numbers hold, to within one unit in a hundred (rounded results)? None when it holds other things."""
    return holds(normalise(equation).joined.split())


def holds(pieces: list[str]) -> bool | None:
    """`is_true` for an equation's pieces in normal form."""
    values: list[Fraction | int] = []
    at = 0
    for _ in range(pieces.count("=")):
        end = pieces.index("=", at)
        value = _value(pieces[at:end])
        if value is None:
            return None
        values.append(value)
        at = end + 1
    last = _value(pieces[at:])
    if last is None or not values:
        return None
    limit = max(values[0], -values[0])
    return all(-limit <= 100 * (value - values[0]) <= limit for value in (*values[1:], last))


def evaluate(pieces: list[str]) -> Fraction | None:
    """The value of numbers joined by + - * / and brackets, exactly; None for anything else and for a division by zero."""
    value = _value(pieces)
    return None if value is None else Fraction(value)


def _value(pieces: list[str]) -> Fraction | int | None:
    if not pieces or len(pieces) > 60:
        return None
    if len(pieces) == 1:
        return _number(pieces[0])
    if len(pieces) == 3 and pieces[1] in _RECKON:  # most are of two numbers
        one, two = _number(pieces[0]), _number(pieces[2])
        if one is not None and two is not None:
            return _RECKON[pieces[1]](one, two)
    if len(pieces) == 3 and pieces[1] == "/" and pieces[0].isdecimal() and pieces[2].isdecimal():
        one, two = _number(pieces[0]), _number(pieces[2])
        if isinstance(one, int) and isinstance(two, int):
            return Fraction(one, two) if two else None
    value, at = _sum(pieces, 0, 0)
    return value if at == len(pieces) else None


# Whole numbers are reckoned with as such, which is many times faster than with fractions; only a division makes one.
def _sum(pieces: list[str], at: int, depth: int) -> tuple[Fraction | int | None, int]:
    total, at = _product(pieces, at, depth)
    while total is not None and at < len(pieces) and pieces[at] in ("+", "-"):
        sign = 1 if pieces[at] == "+" else -1
        term, at = _product(pieces, at + 1, depth)
        total = None if term is None else total + sign * term
    return total, at


def _product(pieces: list[str], at: int, depth: int) -> tuple[Fraction | int | None, int]:
    total, at = _operand(pieces, at, depth)
    while total is not None and at < len(pieces) and pieces[at] in ("*", "/"):
        divide = pieces[at] == "/"
        factor, at = _operand(pieces, at + 1, depth)
        if factor is None or (divide and not factor):
            return None, at
        if not divide:
            total *= factor
        else:
            total = Fraction(total, factor) if isinstance(total, int) and isinstance(factor, int) else Fraction(total) / factor
    return total, at


def _operand(pieces: list[str], at: int, depth: int) -> tuple[Fraction | int | None, int]:
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
    value = _number(piece)
    return value, at + (value is not None)


def _number(piece: str) -> Fraction | int | None:
    if piece.isdecimal() and piece.isascii() and len(piece) <= _MAX_DIGITS:
        return int(piece)
    return Fraction(piece) if "." in piece and _DECIMAL.fullmatch(piece) else None
