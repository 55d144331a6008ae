"""Inequalities of one variable as intervals: "x > 5" is (5, \u221e), "2 <= x < 3" is [2, 3)."""

from __future__ import annotations

from collections.abc import Sequence

_BRACKETS = {"<": "(", "<=": "[", ">": ")", ">=": "]"}
_CLOSING = {"(": ")", "[": "]"}
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def as_interval(pieces: Sequence[str]) -> tuple[str, list[str]] | None:
    """The variable and the pieces of the interval that an inequality means; None for anything else.

    >>> as_interval("2 <= x < 3".split())
    ('x', ['[', '2', ',', '3', ')'])
    """
    relations = [index for index, piece in enumerate(pieces) if piece in _BRACKETS]
    if not relations or "=" in pieces or "," in pieces:
        return None
    parts = [list(pieces[start:end]) for start, end in zip([0, *(at + 1 for at in relations)], [*relations, len(pieces)], strict=True)]
    signs = [pieces[at] for at in relations]
    if not all(parts):
        return None
    if len(parts) == 2 and _is_variable(parts[0]):
        parts, signs = parts[::-1], [_TURNED[signs[0]]]  # "x > 5" is "5 < x"
    if len(parts) == 2 and _is_variable(parts[1]):
        return parts[1][0], _half_line(parts[0], signs[0])
    if len(parts) != 3 or not _is_variable(parts[1]) or _is_variable(parts[0]) or _is_variable(parts[2]):
        return None
    if signs[0][0] != signs[1][0]:
        return None  # "2 < x > 1"
    if signs[0][0] == ">":
        parts, signs = parts[::-1], [_TURNED[sign] for sign in reversed(signs)]
    opening, closing = _BRACKETS[signs[0]], _CLOSING[_BRACKETS[signs[1]]]
    return parts[1][0], [opening, *parts[0], ",", *parts[2], closing]


def _half_line(end: list[str], sign: str) -> list[str]:
    """The interval of "end sign x"."""
    if sign[0] == "<":
        return [_BRACKETS[sign], *end, ",", "\u221e", ")"]
    return ["(", "-", "\u221e", ",", *end, _BRACKETS[sign]]


def _is_variable(pieces: list[str]) -> bool:
    return len(pieces) == 1 and len(pieces[0]) == 1 and pieces[0].isalpha() and pieces[0] not in ("e", "i", "\u03c0")
