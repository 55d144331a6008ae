"""Quantities: numbers with their units, however they are written, compared as exact fractions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from r1vl_core.reasoning.number_words import NUMBER_WORDS, read_number_words
from r1vl_core.reasoning.spellings import GREEK, word_set
from r1vl_core.reasoning.units import CURRENCIES, LETTER_UNITS, MULTIPLIERS, UNITS, conversion, read_unit

_NUM = r"[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,3})?"
_QUANTITY = re.compile(
    rf"(?:(?P<whole>[0-9]+) (?:and )?(?P<num>[0-9]+) / (?P<den>[0-9]+)"  # 2 1/2
    rf"|(?P<top>{_NUM}) / (?P<bottom>{_NUM})"
    r"|(?:(?P<factor>[0-9]+(?:\.[0-9]+)?) \* )?10 \^ (?P<power>(?:\( )?(?:[+-] )?[0-9]{1,3}(?: \))?)"
    rf"|(?P<plain>{_NUM}))(?![^ ])"
)
_DOTTED_THOUSANDS = re.compile(r"(?<![0-9.,])[1-9][0-9]{0,2}(?:\.[0-9]{3}){2,}+(?![0-9.,])")
_DECIMAL_COMMA = re.compile(r"(?<![0-9.,])(?:(?:[0-9]{1,3}(?:\.[0-9]{3})++|[1-9][0-9]*+),(?:[0-9]{1,2}|[0-9]{4,})|0,[0-9]++)(?![0-9.,])")
_SPACED_THOUSANDS = re.compile(r"(?<![0-9.,] )(?<![0-9.,])[1-9][0-9]{0,2}(?: [0-9]{3})++(?![0-9]| ?[,/])")
_MARKED_THOUSANDS = re.compile(r"(?<![0-9.,'_])[1-9][0-9]{0,2}(?:(?:'[0-9]{3})++|(?:_[0-9]{3})++)(?![0-9'_])")
_MAX_DIGITS = 400
_ROUNDED_PLACES = 6
_MAX_PIECES = 24
_MAX_UNIT = 8
_MAX_NOUN = 3
_MAX_LABEL = 5
_MAX_SYMBOL = (2, 4)  # letters of a name on its own, and behind "angle"
_NOT_A_UNIT = word_set(
    "or and to not no is than less more at least most but maybe about if when where the of with between over under plus minus times "
    "first third correct wrong false answer option choice approximately half twice double squared cubed"
)
_NOT_A_NAME = word_set("not or no never if and either neither maybe perhaps except but than least most wrong false incorrect != < >")
_OF_TWO = re.compile(r"\b(?:of|between) [^ ]+ and [^ ]+\Z")
_STOPS = frozenset(",;.:?!")
_OPERATORS = frozenset("+-*/^")
_APPROXIMATELY = word_set("about approximately approx around roughly nearly exactly")


@dataclass(frozen=True, slots=True)
class Quantity:
    """An exact value; `unit` is the unit's one name ("" when there is none), `name` what the value was said to be of ("x" in "x = 7").

    >>> parse_quantity("x = 3 / 4 cm".split())
    Quantity(value=Fraction(3, 4), unit='cm', name='x', places=0)
    """

    value: Fraction
    unit: str = ""
    name: str = ""
    places: int = 0


def unify_number_marks(text: str) -> str:
    """Spell decimal commas as points and close up thousands written with blanks or apostrophes; everything else stays.

    "1,5" is 1.5, "1.234,5" is 1234.5 and "1.234.567" is in thousands, but "1,234" keeps its comma (a thousands separator) and "3, 4" is
    a list.
    """
    if "," in text:
        text = _DECIMAL_COMMA.sub(lambda number: number[0].replace(".", "").replace(",", "."), text)
    if text.count(".") > 1:
        text = _DOTTED_THOUSANDS.sub(lambda number: number[0].replace(".", ""), text)
    if "'" in text or "_" in text:
        text = _MARKED_THOUSANDS.sub(lambda number: number[0].replace("'", "").replace("_", ""), text)
    return _SPACED_THOUSANDS.sub(lambda number: number[0].replace(" ", ""), text) if " " in text else text


def split_unit(pieces: list[str]) -> tuple[list[str], str]:
    """The pieces of an expression and, apart, the unit it ends in ("" for none): "14 cm ^ 2" -> (["14"], "cm^2")."""
    for cut in range(max(1, len(pieces) - _MAX_UNIT), len(pieces)):
        last, first = pieces[cut - 1], pieces[cut]
        if first[0].isalnum() and not (last[0].isdecimal() or last in (")", "\u03c0") or len(first) > 1):
            continue
        unit = read_unit(pieces[cut:])
        if unit:
            return pieces[:cut], unit
    return pieces, ""


def split_name(pieces: list[str]) -> tuple[list[str], str]:
    """What stands behind the last "=", and the name in front of it; sums in front ("3 + 4 = 7") leave no name.

    "x : 7" and "area : 7" name like "x = 7"; "7 = x" is turned round. Where what stands in front denies, weighs up, says something else
    or is an equation still to solve ("2 x = 14"), nothing is taken off.
    """
    equal = [index for index, piece in enumerate(pieces) if piece in ("=", "\u2248")]
    if not equal:
        at = pieces.index(":") if ":" in pieces[:_MAX_LABEL] else 0
        words = pieces[:at]
        named = words and all(word.isalpha() for word in words) and not _NOT_A_NAME.intersection(words)
        return (pieces[at + 1 :], " ".join(words)) if named and at + 1 < len(pieces) else (pieces, "")
    left, right = pieces[: equal[-1]], pieces[equal[-1] + 1 :]
    if len(equal) == 1 and len(right) == 1 and len(right[0]) == 1 and right[0].isalpha() and left and left[0][0].isdecimal():
        left, right = right, left
    if not left:
        return right, ""
    denied = _NOT_A_NAME.intersection(left)
    if (denied and not (denied == {"and"} and _OF_TWO.search(" ".join(left)))) or _says_more(left):
        return pieces, ""
    return right, " ".join(left) if any(piece[0].isalpha() for piece in left) else ""


def _says_more(left: list[str]) -> bool:
    """Is what stands before "=" no name but another statement ("45? x", "x = 2, y") or an equation still to solve ("2 x", "x + 3")?"""
    numbers = any(piece[0].isdecimal() for piece in left)
    if not _STOPS.isdisjoint(left) and (numbers or "=" in left):
        return True
    variables = {piece for piece in left if len(piece) == 1 and piece.isalpha() and piece not in UNITS}
    counted = left[0][0].isdecimal() and bool(variables)  # "2 x", "14 cm x": no name begins with a number
    times = counted or any(one[0].isdecimal() and two in variables for one, two in pairwise(left))
    return times or (numbers and bool(variables) and not _OPERATORS.isdisjoint(left) and "=" not in left)


def parse_quantity(pieces: list[str]) -> Quantity | None:
    """Read the pieces of a normal form as one quantity; None when they are anything else (two numbers, a range, algebra, words)."""
    if not pieces or len(pieces) > _MAX_PIECES or max(map(len, pieces)) > _MAX_DIGITS:
        return None
    pieces, name = split_name(pieces)
    sign, currency, pieces = _split_front(pieces)
    if pieces and pieces[-1] in _APPROXIMATELY:
        pieces = pieces[:-1]
    number = _read_number(pieces)
    if number is None:
        return None
    value, places, rest = number
    while rest and rest[0].removesuffix("s") in MULTIPLIERS:
        value, rest, places = value * MULTIPLIERS[rest[0].removesuffix("s")], rest[1:], 0
    unit = _unit_or_noun(rest) if rest else ""
    if unit is None or (unit and currency and unit != currency):
        return None
    return Quantity(sign * value, unit or currency, name, places)


def parse_sum(pieces: list[str]) -> Quantity | None:
    """A quantity in two or three units, the larger first: "3 hours 20 minutes", "5 ft 6 in"; None for anything else."""
    starts = [index for index, piece in enumerate(pieces[:_MAX_PIECES]) if piece[0].isdecimal()]
    if not 2 <= len(starts) <= 3 or starts[0] != 0 or len(pieces) > _MAX_PIECES:
        return None
    total: Quantity | None = None
    for start, end in pairwise([*starts, len(pieces)]):
        part = parse_quantity(pieces[start : end - (pieces[end - 1] in ("and", ","))])
        ratio = conversion(total.unit, part.unit) if total and part and part.unit and total.unit else None
        if part is None or not part.unit or (total is not None and (ratio is None or ratio <= 1)):
            return None
        total = Quantity(part.value + (total.value * ratio if total and ratio else 0), part.unit)
    return total


def _split_front(pieces: list[str]) -> tuple[int, str, list[str]]:
    """The sign, the currency and what is left: "- dollar 5" and "dollar - 5" are both minus five dollars."""
    sign, currency = 1, ""
    while len(pieces) > 1:
        if pieces[0] in ("-", "negative"):
            sign = -sign
        elif pieces[0] in CURRENCIES and not currency:
            currency = UNITS[pieces[0]]
        elif pieces[0] not in _APPROXIMATELY and pieces[0] not in ("+", "\u2248"):
            break
        pieces = pieces[1:]
    return sign, currency, pieces


def _read_number(pieces: list[str]) -> tuple[Fraction, int, list[str]] | None:
    """The value of the number that the pieces begin with, its decimal places, and the pieces behind it."""
    words = read_number_words(pieces)
    if words is not None:
        return words[0], 0, pieces[words[1] :]
    text = " ".join(pieces)
    number = _QUANTITY.match(text)
    value = _value(number) if number else None
    if number is None or value is None:
        return None
    return value, _places(number["plain"]), text[number.end() :].split()


def _unit_or_noun(rest: list[str]) -> str | None:
    """The unit behind a number, or a counted thing in its place: "cm ^ 2", "apples", "red blocks"; None for anything else."""
    unit = read_unit(rest)
    if unit:
        return "" if unit.startswith("unit") else unit
    if len(rest) > _MAX_NOUN or not all(word.isalpha() for word in rest) or len(rest[-1]) <= 2:
        return None
    return None if any(word in _NOT_A_UNIT or word in NUMBER_WORDS or word in GREEK for word in rest) else " ".join(rest)


def _value(number: re.Match[str]) -> Fraction | None:
    if number["whole"] is not None:
        bottom = int(number["den"])
        return int(number["whole"]) + Fraction(int(number["num"]), bottom) if bottom else None
    if number["top"] is not None:
        below = Fraction(number["bottom"])
        return Fraction(number["top"]) / below if below else None
    if number["power"] is not None:
        power = int(number["power"].replace(" ", "").strip("()"))
        return Fraction(number["factor"] or 1) * Fraction(10) ** power
    return Fraction(number["plain"])


def _places(plain: str | None) -> int:
    return len(plain.partition(".")[2]) if plain and "e" not in plain else 0


def same_quantity(answer: Quantity, gold: Quantity) -> bool:
    """Equal in value and not contradicting in unit or name.

    A unit on one side only does not contradict. Units of the same thing are converted exactly ("1 m" = "100 cm"); a percentage equals
    its fraction ("50%" = "0.5") or the bare number ("50%" = "50").
    """
    if of_another(answer.name, gold.name):
        return False
    if answer.unit == gold.unit:
        return _close(answer, gold, 1)
    if "%" in (answer.unit, gold.unit):
        return _same_share(answer, gold)
    if answer.unit and gold.unit:
        scale = _scale(answer.unit, gold.unit)
        return scale is not None and _close(answer, gold, scale)
    unit = answer.unit or gold.unit
    if len(unit) == 1 and unit.isalpha() and unit not in LETTER_UNITS:
        return False
    return _close(answer, gold, 1)


def of_another(name: str, other: str) -> bool:
    """Are two values said to be of different things: "x" and "y", "AB" and "BC", "angle A" and "angle B"? "AB" is "BA".

    "x + y" is "y + x" and not "x - y". Names in words ("the length", "total") may be two for one thing and do not contradict.
    """
    if name and other and name != other and is_formula([*name.split(), *other.split()]):
        return sorted(name) != sorted(other) or not _OPERATORS.isdisjoint(set(name) - set("+*"))
    one, two = _symbol(name), _symbol(other)
    alike = len(one) == len(two) > 0 or (one in GREEK and two in GREEK)
    return alike and one not in (two, two[::-1])


def is_formula(pieces: Sequence[str]) -> bool:
    """Are these pieces symbols of one or two letters with an operator between them ("x + y", "AB + CD")?"""
    return not _OPERATORS.isdisjoint(pieces) and all(len(piece) <= 2 and (piece.isalpha() or piece in _OPERATORS) for piece in pieces)


def _symbol(name: str) -> str:
    """The letters of a line or an angle that a name ends in, a variable; "" for a name in words."""
    words = name.split()
    if not words or (len(words) > 1 and words[-2] not in ("angle", "triangle", "segment", "line", "side", "arc")):
        return ""
    return words[-1] if words[-1] in GREEK or len(words[-1]) <= _MAX_SYMBOL[len(words) > 1] else ""


def _same_share(answer: Quantity, gold: Quantity) -> bool:
    """One of the two is a percentage. Below 1 a bare number is a share, so "0.5%" is not "0.5"."""
    if answer.unit and gold.unit:
        return False
    scale = Fraction(1, 100) if answer.unit == "%" else Fraction(100)
    return _close(answer, gold, scale) or (abs(answer.value) >= 1 and _close(answer, gold, Fraction(1)))


def _scale(unit: str, other: str) -> Fraction | None:
    """How many `other` (gold's) one `unit` is; None where they measure or count different things."""
    if (unit == "\u00b0" and other in ("\u00b0c", "\u00b0f")) or {unit, other} == {"pound", "pound sterling"}:
        return Fraction(1)
    if " " in unit + other or unit not in UNITS.values():
        one, two = ({word.removesuffix("s") for word in name.split()} for name in (unit, other))
        if one <= two or two <= one:  # "7 cells" and "7 red cells"
            return Fraction(1)
    return conversion(unit, other)


def _close(answer: Quantity, gold: Quantity, scale: Fraction | int) -> bool:
    """Exactly equal, or equal to within the rounding of a decimal written with at least six places."""
    value = answer.value if scale == 1 else answer.value * scale  # reckoning with fractions is most of the time that a choice takes
    if value == gold.value or max(answer.places, gold.places) < _ROUNDED_PLACES:
        return value == gold.value
    return abs(value - gold.value) <= abs(gold.value) * Fraction(1, 1_000_000)
