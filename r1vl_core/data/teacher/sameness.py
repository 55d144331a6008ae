"""Does a form say what its key step says? Decided where numbers, relations or mathematics decide it; words may be synonyms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from r1vl_core.reasoning.answers import is_correct
from r1vl_core.reasoning.boundaries import RELATIONS
from r1vl_core.reasoning.comparison import same_expression
from r1vl_core.reasoning.equivalents import evaluate, is_true
from r1vl_core.reasoning.expressions import Expression, read_expression
from r1vl_core.reasoning.key_steps import CompiledForm
from r1vl_core.reasoning.number_words import read_number_words

_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_ALWAYS = frozenset("=")


class _Free:
    """A question without choices."""

    choices: tuple[tuple[str, str], ...] = ()


def same_statement(form: CompiledForm, source: CompiledForm) -> bool | None:
    """Do both say the same? None where only somebody who reads can tell ("longest side", "hypotenuse").

    >>> from r1vl_core.reasoning.key_steps import compile_form
    >>> [same_statement(compile_form(form), compile_form("6 / 3 = 2")) for form in ("6 divided by 3 equals 2", "6 / 3 = 3", "2")]
    [True, False, False]
    """
    pieces, others = form.needle.split(), source.needle.split()
    if pieces == others:
        return True
    if form.relation != source.relation:  # "2" for "6 / 3 = 2" would be earned by any 2
        return False
    if is_true(form.needle) is False and is_true(source.needle) is not False:
        return False
    if not form.relation:
        return _same_value(form, source)
    return _same_relation(pieces, others)


def _same_value(form: CompiledForm, source: CompiledForm) -> bool | None:
    one, other = read_expression(form.form), read_expression(source.form)
    if _is_bare(form) and not _is_bare(source):  # "12" for "12 cm" would be earned by any 12
        return False
    mathematical = {one.kind, other.kind} <= {"number", "math", "range", "ratio", "list"}
    if mathematical:
        return _decided(one, other)
    return None if _numbers(form.needle.split()) == _numbers(source.needle.split()) else False


def _is_bare(form: CompiledForm) -> bool:
    return not any(piece[0].isalpha() or piece == "\u00b0" for piece in form.needle.split())


def _same_relation(pieces: list[str], others: list[str]) -> bool | None:
    sides, signs = _sides(pieces)
    other_sides, other_signs = _sides(others)
    if signs != other_signs:
        turned = [_MIRRORED.get(sign, sign) for sign in reversed(signs)] == other_signs
        return _same_relation([*sides[1], *other_signs, *sides[0]], others) if turned and len(signs) == 1 else False
    if len(sides) != len(other_sides) or not (_numbers(pieces) == _numbers(others) or _same_sides(sides, other_sides)):
        return False
    if _letters(pieces) != _letters(others) and not (_words(pieces) or _words(others)):
        return False
    if _words(pieces) or _words(others) or len(sides) != 2:
        return None if set(signs) <= _ALWAYS or sides == other_sides else _in_order(sides, other_sides)
    if not set(signs) <= _ALWAYS:
        return sides == other_sides
    return _decided(read_expression(" ".join(pieces)), read_expression(" ".join(others)))


def _decided(one: Expression, other: Expression) -> bool | None:
    same = same_expression(one, other)
    if same:
        return True
    verdict = is_correct(one.text, other.text, _Free()).verdict
    return {"correct": True, "wrong": False}.get(verdict)


def _in_order(sides: list[list[str]], others: list[list[str]]) -> bool | None:
    """An inequality in words: its numbers must stand on the same sides."""
    return None if all(_numbers(side) == _numbers(other) for side, other in zip(sides, others, strict=True)) else False


def _same_sides(sides: list[list[str]], others: list[list[str]]) -> bool:
    """The same numbers on the sides, in any order, where a decimal may stand for its fraction: "area = 0.5" and "area = 1/2"."""
    return any(all(map(_same_side, sides, order)) for order in (others, others[::-1]))


def _same_side(side: list[str], other: list[str]) -> bool:
    if _numbers(side) == _numbers(other):
        return True
    shapes = {_shape(side), _shape(other)}
    return shapes == {"decimal", "fraction"} and evaluate(side) == evaluate(other)


def _shape(side: list[str]) -> str:
    if len(side) == 1 and "." in side[0]:
        return "decimal"
    return "fraction" if len(side) == 3 and side[1] == "/" else ""


def _sides(pieces: Sequence[str]) -> tuple[list[list[str]], list[str]]:
    sides: list[list[str]] = [[]]
    signs = []
    for piece in pieces:
        if piece in RELATIONS:
            signs.append(piece)
            sides.append([])
        else:
            sides[-1].append(piece)
    return sides, signs


def _numbers(pieces: Sequence[str]) -> Counter[Fraction]:
    """The numbers that stand in a text, spelled in digits or as one word."""
    found: Counter[Fraction] = Counter()
    for piece in pieces:
        if piece[0].isdecimal():
            value = evaluate([piece])
        else:
            worded = read_number_words([piece]) if piece.isalpha() else None
            value = worded[0] if worded else None
        if value is not None:
            found[value] += 1
    return found


def _letters(pieces: Sequence[str]) -> frozenset[str]:
    return frozenset(piece for piece in pieces if len(piece) == 1 and piece.isalpha())


def _words(pieces: Sequence[str]) -> frozenset[str]:
    return frozenset(piece for piece in pieces if len(piece) > 1 and piece.isalpha())
