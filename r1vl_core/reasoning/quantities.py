"""Quantities: numbers with their units, however they are written, compared as exact fractions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from r1vl_core.reasoning.normal_form import word_set
from r1vl_core.reasoning.units import UNITS

_NUM = r"[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,3})?"
_QUANTITY = re.compile(
    rf"(?:(?P<whole>[0-9]+) (?P<num>[0-9]+) / (?P<den>[0-9]+)"  # 2 1/2
    rf"|(?P<top>{_NUM}) / (?P<bottom>{_NUM})"
    r"|(?:(?P<factor>[0-9]+(?:\.[0-9]+)?) \* )?10 \^ (?P<power>(?:\( )?(?:[+-] )?[0-9]{1,3}(?: \))?)"
    rf"|(?P<plain>{_NUM}))"
)
_DECIMAL_COMMA = re.compile(r"(?<![0-9.,])(?:(?:[0-9]{1,3}(?:\.[0-9]{3})++|[1-9][0-9]*+),(?:[0-9]{1,2}|[0-9]{4,})|0,[0-9]++)(?![0-9.,])")
_SPACED_THOUSANDS = re.compile(r"(?<![0-9.,] )(?<![0-9.,])[1-9][0-9]{0,2}(?: [0-9]{3})++(?![0-9]| ?[,/])")
_MAX_DIGITS = 400
_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty"
)
_WORDS = {word: number for number, word in enumerate(_NUMBER_WORDS.split())}
_NOT_A_UNIT = word_set(
    "or and to not no is than less more at least most but maybe about if when where the of with between over under plus minus times "
    "first second third correct wrong answer option choice approximately"
) - frozenset(UNITS)
_NOT_A_NAME = frozenset(("not", "or", "no", "never", "if", "and", "either", "maybe", "!=", "<", ">"))
_BARE_LETTER_UNITS = frozenset("mghls")  # the other one-letter units are more often variables


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
    """Spell decimal commas as points and close up thousands written with blanks; everything else stays.

    "1,5" is 1.5 and "1.234,5" is 1234.5, but "1,234" keeps its comma (a thousands separator) and "3, 4" is a list.
    """
    if "," in text:
        text = _DECIMAL_COMMA.sub(lambda number: number[0].replace(".", "").replace(",", "."), text)
    return _SPACED_THOUSANDS.sub(lambda number: number[0].replace(" ", ""), text) if " " in text else text


def split_unit(pieces: list[str]) -> tuple[list[str], str]:
    """The pieces of an expression and, apart, the unit it ends in ("" for none): "14 cm ^ 2" -> (["14"], "cm^2")."""
    for cut in range(max(1, len(pieces) - 5), len(pieces)):
        unit = _unit(pieces[cut:])
        if unit and (pieces[cut - 1][0].isdecimal() or pieces[cut - 1] in (")", "\u03c0") or len(pieces[cut]) > 1):
            return pieces[:cut], unit
    return pieces, ""


def _unit(words: list[str]) -> str:
    """The name of a unit, or "" when these pieces are none."""
    if words[0] in ("square", "cubic") and len(words) == 2 and words[1] in UNITS:
        return f"{UNITS[words[1]]}^{2 if words[0] == 'square' else 3}"
    if words[0] not in UNITS:
        return ""
    name = UNITS[words[0]]
    rest = words[1:]
    if name == "\u00b0" and rest and rest[0] in ("c", "f", "celsius", "fahrenheit"):
        name, rest = f"\u00b0{rest[0][0]}", rest[1:]
    if len(rest) >= 2 and rest[0] == "^" and rest[1] in ("2", "3"):
        name, rest = f"{name}^{rest[1]}", rest[2:]
    if len(rest) >= 2 and rest[0] in ("/", "per") and rest[1] in UNITS:
        name, rest = f"{name}/{UNITS[rest[1]]}", rest[2:]
        if len(rest) >= 2 and rest[0] == "^" and rest[1] in ("2", "3"):
            name, rest = f"{name}^{rest[1]}", rest[2:]
    return "" if rest else name


def parse_quantity(pieces: list[str]) -> Quantity | None:
    """Read the pieces of a normal form as one quantity; None when they are anything else (two numbers, a range, algebra, words)."""
    if not pieces or len(pieces) > 24 or max(map(len, pieces)) > _MAX_DIGITS:
        return None
    pieces, name = _split_name(pieces)
    if len(pieces) == 1 and pieces[0] in _WORDS:
        return Quantity(Fraction(_WORDS[pieces[0]]), name=name)
    sign = 1
    while pieces and pieces[0] in ("+", "-", "\u2248", "about", "approximately", "around", "exactly"):
        sign = -sign if pieces[0] == "-" else sign
        pieces = pieces[1:]
    currency = ""
    if len(pieces) > 1 and pieces[0] in UNITS and not pieces[0].isalnum() and pieces[0] not in ("%", "\u00b0"):
        currency, pieces = UNITS[pieces[0]], pieces[1:]
    if len(pieces) > 1 and pieces[0] == "-":
        sign, pieces = -sign, pieces[1:]
    pieces, unit = split_unit(pieces)
    if not unit and len(pieces) > 1 and (pieces[-1].isalpha() and len(pieces[-1]) > 2):
        pieces, unit = _split_noun(pieces)
    number = _QUANTITY.fullmatch(" ".join(pieces))
    if number is None:
        return None
    value = _value(number)
    return None if value is None else Quantity(sign * value, unit or currency, name, _places(number["plain"]))


def _split_name(pieces: list[str]) -> tuple[list[str], str]:
    """What stands behind the last "=", and the name in front of it; sums in front ("3 + 4 = 7") leave no name."""
    if "=" not in pieces:
        return pieces, ""
    at = len(pieces) - 1 - pieces[::-1].index("=")
    left = pieces[:at]
    if not left or any(piece in _NOT_A_NAME for piece in left):
        return (pieces, "") if left else (pieces[at + 1 :], "")
    return pieces[at + 1 :], " ".join(left) if any(piece.isalpha() for piece in left) else ""


def _split_noun(pieces: list[str]) -> tuple[list[str], str]:
    """A counted thing in the place of a unit: "5 apples", "12 red blocks"."""
    cut = len(pieces)
    while cut > 1 and len(pieces) - cut < 3 and pieces[cut - 1].isalpha():
        cut -= 1
    words = pieces[cut:]
    if any(word in _NOT_A_UNIT or word in _WORDS for word in words):
        return pieces, ""
    return pieces[:cut], " ".join(words)


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

    A unit on one side only does not contradict; a percentage equals its fraction ("50%" = "0.5"), or the bare number ("50%" = "50").
    """
    if len(answer.name) == 1 == len(gold.name) and answer.name != gold.name:
        return False
    if answer.unit == gold.unit:
        return _close(answer, gold, Fraction(1))
    if "%" in (answer.unit, gold.unit):
        other = gold.unit if answer.unit == "%" else answer.unit
        if other:
            return False
        scale = Fraction(1, 100) if answer.unit == "%" else Fraction(100)
        # Below 1 a bare number is a share, so "0.5%" is not "0.5".
        return _close(answer, gold, scale) or (abs(answer.value) >= 1 and _close(answer, gold, Fraction(1)))
    if answer.unit and gold.unit:
        return False
    if len(answer.unit or gold.unit) == 1 and (answer.unit or gold.unit).isalpha() and (answer.unit or gold.unit) not in _BARE_LETTER_UNITS:
        return False
    return _close(answer, gold, Fraction(1))


def _close(answer: Quantity, gold: Quantity, scale: Fraction) -> bool:
    """Exactly equal, or equal to within the rounding of a decimal written with at least six places."""
    difference = abs(answer.value * scale - gold.value)
    if difference == 0:
        return True
    return max(answer.places, gold.places) >= 6 and difference <= abs(gold.value) * Fraction(1, 1_000_000)
