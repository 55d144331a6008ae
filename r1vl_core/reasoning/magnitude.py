"""How large may the value of an expression be? Towers of powers and large factorials are told by their form, and never worked out.

Sympy computes every power and factorial of whole numbers to its last digit: 9^9^9 has 369,693,100 of them. Nobody means such a number by
an answer, so that nothing is lost by not looking.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

MAX_DIGITS = 10_000
"""Digits of the largest value that is worked out, and the largest exponent of a formula."""

_MAX_DEPTH = 60
_OPENING = {"(": ")", "[": "]"}
_CLOSING = frozenset(_OPENING.values())
_SIGNS = frozenset("+-")
_LOG_OF_MAX = math.log10(MAX_DIGITS)


class _TooLargeError(Exception):
    """A power or factorial in the expression has too many digits."""


def is_too_large(pieces: Sequence[str]) -> bool:
    """May a power or a factorial of numbers in an expression, given in its normal form, have more than `MAX_DIGITS` digits?

    >>> is_too_large("9 ^ 9 ^ 9".split()), is_too_large("2 ^ ( 3 ^ 2 )".split()), is_too_large("99999 !".split())
    (True, False, True)
    """
    if "^" not in pieces and "!" not in pieces:
        return False
    try:
        _Reader(pieces).whole()
    except _TooLargeError:
        return True
    return False


class _Reader:
    """Reads an expression as log10 of an upper bound of its absolute value; None for what has names or functions in it."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self.pieces = [*pieces, ""]
        self.place = 0
        self.depth = 0

    def whole(self) -> None:
        """Everything there is, whatever separates it: relations, commas, brackets without a partner."""
        while self.pieces[self.place]:
            start = self.place
            self.sum()
            self.place += self.place == start

    def sum(self) -> float | None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _TooLargeError
        terms = [self.product()]
        while self.pieces[self.place] in _SIGNS and self.pieces[self.place]:
            self.place += 1
            terms.append(self.product())
        self.depth -= 1
        known = [term for term in terms if term is not None]
        return max(known) + math.log10(len(known)) if len(known) == len(terms) else None

    def product(self) -> float | None:
        total = self.power()
        while self.pieces[self.place] and self.pieces[self.place] not in _CLOSING | _SIGNS | {",", ";", "=", "<", ">"}:
            divides = self.pieces[self.place] == "/"
            self.place += self.pieces[self.place] in ("*", "/")
            factor = self.power()
            total = None if total is None or factor is None else total - factor if divides else total + factor
        return total

    def power(self) -> float | None:
        while self.pieces[self.place] in _SIGNS and self.pieces[self.place]:
            self.place += 1
        base = self.atom()
        while self.pieces[self.place] == "!":
            self.place += 1
            base = None if base is None else _factorial(base)
        if self.pieces[self.place] != "^":
            return base
        self.place += 1
        return _raised(base, self.power())

    def atom(self) -> float | None:
        piece = self.pieces[self.place]
        if not piece or piece in _CLOSING:
            return None
        self.place += 1
        if piece in _OPENING:
            inside = self.sum()
            while self.pieces[self.place] and self.pieces[self.place] not in _CLOSING:  # a list, a relation
                self.place += 1
                self.sum()
                inside = None
            self.place += self.pieces[self.place] in _CLOSING
            return inside
        return _log(piece)


def _log(piece: str) -> float | None:
    try:
        value = float(piece)
    except ValueError:
        return None
    return math.log10(value) if 0 < value < math.inf else None


def _raised(base: float | None, exponent: float | None) -> float | None:
    if exponent is None or base == 0.0:
        return base
    if exponent > _LOG_OF_MAX or (base is not None and abs(base) * 10**exponent > MAX_DIGITS):
        raise _TooLargeError
    return None if base is None else base * 10**exponent


def _factorial(base: float) -> float:
    if base > _LOG_OF_MAX:
        raise _TooLargeError
    digits = math.lgamma(10**base + 1) / math.log(10)
    if digits > MAX_DIGITS:
        raise _TooLargeError
    return digits
