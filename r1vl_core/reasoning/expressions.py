"""Expressions: what kind of thing an answer is.

It is a number with a unit, a yes or no, a range, a ratio, a list (tuple, set, interval, alternatives), other mathematics, or words.
`comparison` tells whether two of them are the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from r1vl_core.reasoning.cleaning import clean
from r1vl_core.reasoning.latex import FUNCTIONS
from r1vl_core.reasoning.normal_form import normalise
from r1vl_core.reasoning.quantities import Quantity, parse_quantity, parse_sum, same_quantity, split_name, split_unit, unify_number_marks
from r1vl_core.reasoning.spellings import GREEK, word_set
from r1vl_core.reasoning.units import LETTER_UNITS, UNITS

Kind = Literal["number", "yes_no", "range", "ratio", "list", "math", "text"]

_SET = re.compile(
    r"(?:[a-z][a-z0-9]?\s*+(?:=|\\in(?![a-z]))\s*+)?+(?:\\left\s*+)?+(?:\\?\{|\\lbrace)(.*)(?:\}|\\rbrace)", re.DOTALL | re.IGNORECASE
)
_NUMBER_PIECE = r"(?:- )?[0-9][0-9.]*+"
_RANGE = re.compile(rf"({_NUMBER_PIECE})((?: (?!(?:to|and|or) )[a-z%\u00b0]++)?+) (?:-|to) ({_NUMBER_PIECE})((?: [a-z%\u00b0]++)?+)")
_RATIO = re.compile(r"([0-9][0-9.]*+(?: : [0-9][0-9.]*+)++)(?: (am|pm|a . m|p . m))?")
_REPEATING = re.compile(r"([0-9]{1,9})\.([0-9]{0,9})\\(?:overline|bar|dot)\{([0-9]{1,9})\}")
# "x = 3" and "y = 4" on lines of their own, in a list or not.
_VALUE_LINES = re.compile(r"(?:[ \t]*+(?:[-*\u2022][ \t]++)?+[A-Za-z]\w{0,3}+[ \t]*+=[^\n=,]{1,60}+(?:\n++|\Z)){2,6}")
_BULLETS = " \t-*\u2022"
_PUNCTUATION = frozenset(",.;:!?'")
_YES_NO = {"yes": True, "true": True, "no": False, "false": False}
_AFTER_YES_NO = frozenset(",.;:!'(") | word_set("it they there he she this that these - because since")
_MATH_SIGNS = frozenset("+-*/^=<>()[]|!\u221a\u03c0\u221e\u00b1\u00b0%\u2205") | {"<=", ">=", "!="}
_UNFINISHED = frozenset("+-*/^=<>([\u221a\u00b1")
_SHORT_WORDS = word_set("is or to of in no an at by if it on so we be do go he me my up us as am and not")
_DENIALS = word_set("not no never except")
_CONJUNCTIONS = word_set("and or but yes no true false")
_SEPARATORS = frozenset((",", ";", "and", "&", "or", "\u222a"))
MAX_MATH_PIECES = 120
"""Pieces of an expression; a longer one is no mathematics to us, and not compared symbolically."""
_MAX_DIGITS = 40
_MAX_LIST = 24
_MAX_RANGE = 12
_MAX_DEPTH = 3
_MAX_LABEL = 5
_LABELLED = 3


@dataclass(frozen=True, slots=True)
class Expression:
    """An answer read: `text` is its cleaned text (case kept), `pieces` its normal form, and what `kind` it is.

    A list has `items` and `brackets`: "()", "[)", "{}" …, "" for a bare one, "&" for one joined by "and", "|" for alternatives joined by
    "or", "∪" for a union; a number has its `quantity`; a range or a ratio its numbers as items, a time of day "am" or "pm" in
    `brackets`.

    >>> read_expression("The answer is 14 cm.").quantity.unit
    'cm'
    """

    text: str
    pieces: tuple[str, ...]
    kind: Kind
    quantity: Quantity | None = None
    items: tuple[Expression, ...] = ()
    brackets: str = ""

    @property
    def joined(self) -> str:
        """The normal form as one string; equal strings mean the same thing written."""
        return " ".join(self.pieces)


def read_expression(text: str, *, decimal_comma: bool = True) -> Expression:
    """Clean an answer's text and find out what it is; "2,5" is a decimal or a list. Never raises; linear in the text's length."""
    text = _REPEATING.sub(_repeating, clean(text))
    if "\n" in text and _VALUE_LINES.fullmatch(text):
        text = ", ".join(line.lstrip(_BULLETS) for line in text.split("\n") if line.strip())
    braces = _SET.fullmatch(text)
    body = braces[1].removesuffix("\\").removesuffix("\\right") if braces else text
    listed = braces or "(" in body or "[" in body or not decimal_comma  # there a comma parts items and never decimals
    pieces = normalise(body if listed else unify_number_marks(body), products=True).joined.split()
    while pieces and pieces[-1] in _PUNCTUATION and not (pieces[-1] == "!" and len(pieces) > 1):
        pieces.pop()
    if len(pieces) == 2 and pieces[-1] == "*":  # "3 times"
        pieces.pop()
    if braces:
        items = _items(pieces)
        if items:
            return Expression(text, ("{", *pieces, "}"), "list", items=items, brackets="{}")
    return _classify(text, pieces)


def read_pieces(pieces: list[str]) -> Expression:
    """What pieces in normal form are."""
    return _classify("", pieces)


def _repeating(decimal: re.Match[str]) -> str:
    """A repeating decimal as a fraction: "0.1\\overline{6}" is 15/90."""
    whole, once, again = decimal.groups()
    return f"{int(whole + once + again) - int(whole + once)}/{'9' * len(again)}{'0' * len(once)}"


def _classify(text: str, pieces: list[str], depth: int = 0) -> Expression:
    found = tuple(pieces)
    pieces = _without_list_name(pieces)
    if len(pieces) > 2 and pieces[0] in "([" and pieces[-1] in ")]" and _encloses(pieces):
        items = _items(pieces[1:-1], depth)
        if items and not any(piece == "or" for piece in pieces):
            return Expression(text, found, "list", items=items, brackets=pieces[0] + pieces[-1])
        if pieces[0] == "(" and depth < _MAX_DEPTH:
            inner = _classify(text, pieces[1:-1], depth + 1)
            return inner if pieces == list(found) else Expression(text, found, inner.kind, inner.quantity, inner.items, inner.brackets)
    quantity = parse_quantity(pieces) or parse_sum(pieces) or _quantity_said_twice(pieces)
    if quantity is not None:
        return Expression(text, found, "number", quantity=quantity)
    if _is_yes_no(pieces):
        return Expression(text, found, "yes_no")
    return _classify_several(text, found, depth) or Expression(
        text, found, "math" if _is_math(pieces) or _is_named_math(pieces) else "text"
    )


def _is_yes_no(pieces: list[str]) -> bool:
    """A yes or a no, alone or with what explains it; "No. 5" is a number's label."""
    if not pieces or pieces[0] not in _YES_NO or _takes_back(pieces):
        return False
    label = pieces[0] == "no" and pieces[1:2] == ["."] and len(pieces) == _LABELLED and pieces[2][0].isdecimal()
    return len(pieces) == 1 or (pieces[1] in _AFTER_YES_NO and not label)


def _takes_back(pieces: list[str]) -> bool:
    """Does a yes or a no say the other as well: "yes and no", "no, yes"? "Yes, there is no doubt" and "no, it is not true" do not."""
    for before, word, after in zip(pieces, pieces[1:], [*pieces[2:], ""], strict=False):
        determiner = word == "no" and after.isalpha() and before.isalpha() | (before == "=") and not {before, after} & _CONJUNCTIONS
        if word in _YES_NO and not determiner and (_YES_NO[word] ^ (before == "not")) != _YES_NO[pieces[0]]:
            return True
    return False


def _quantity_said_twice(pieces: list[str]) -> Quantity | None:
    """ "1/2 (0.5)", "42 (forty-two)": a number, and the same number in brackets."""
    if "(" not in pieces[1:-1] or pieces[-1] != ")":
        return None
    at = pieces.index("(")
    once, again = parse_quantity(pieces[:at]), parse_quantity(pieces[at + 1 : -1])
    return once if once and again and same_quantity(again, once) and (len(pieces[at:]) > 3 or pieces[at + 1] != pieces[0]) else None


def _classify_several(text: str, found: tuple[str, ...], depth: int) -> Expression | None:
    """A range, a ratio, plus or minus a number, or a list without brackets; None for anything else."""
    pieces = split_name(list(found))[0]
    joined = " ".join(_ends(pieces)) if len(pieces) < _MAX_RANGE else ""
    ends = _RANGE.fullmatch(joined)
    if ends and not _has_variable(ends[2].strip(), ends[4].strip()):
        units = [(end or ends[4]).split() for end in (ends[2], ends[4])]
        numbers = tuple(_classify("", [*ends[at].split(), *unit], _MAX_DEPTH) for at, unit in zip((1, 3), units, strict=True))
        return Expression(text, found, "range", items=numbers)
    ratio = _RATIO.fullmatch(joined)
    if ratio:
        parts = tuple(_classify("", [piece], _MAX_DEPTH) for piece in ratio[1].split(" : "))
        return Expression(text, found, "ratio", items=parts, brackets=(ratio[2] or "").replace(" . ", ""))
    if pieces.count("\u00b1") == 1:
        before, behind = pieces[: pieces.index("\u00b1")], pieces[pieces.index("\u00b1") + 1 :]
        both = tuple(_classify("", [*before, *sign, *behind], _MAX_DEPTH) for sign in (["+"] if before else [], ["-"]))
        return Expression(text, found, "list", items=both, brackets="|") if all(one.kind in ("number", "math") for one in both) else None
    items = _items(list(found), depth)
    if not items:
        return None
    joined_by = "\u222a" if "\u222a" in found else "|" if "or" in found else "&" if {"and", "&"} & set(found) else ""
    return Expression(text, found, "list", items=items, brackets=joined_by)


def _has_variable(first: str, second: str) -> bool:
    """Is one of a range's two units a variable ("4 x - 3", "3 - 4 x")? A metre too, where the other number has none: "5 m - 1"."""
    variables = [unit for unit in (first, second) if len(unit) == 1 and unit.isalpha() and unit not in LETTER_UNITS]
    return bool(variables) or (first in LETTER_UNITS and not second)


def _ends(pieces: list[str]) -> list[str]:
    """ "from 3 to 5" and "between 3 and 5" as "3 to 5"."""
    if pieces[:1] == ["between"] and pieces.count("and") == 1:
        return ["to" if piece == "and" else piece for piece in pieces[1:]]
    return pieces[1:] if pieces[:1] == ["from"] else pieces


def _without_list_name(pieces: list[str]) -> list[str]:
    """A point or an interval without its name: "P ( 2 , 3 )", "( x , y ) = ( 2 , 3 )", "the point ( 2 , 3 )"."""
    if len(pieces) < _MAX_LABEL or pieces[-1] not in (")", "]"):
        return pieces
    start = pieces.index("=") + 1 if pieces.count("=") == 1 else next((i for i, piece in enumerate(pieces) if piece in ("(", "[")), 0)
    name, rest = pieces[:start], pieces[start:]
    plain = all(piece.isalpha() or piece in ("(", ")", ",", "=") for piece in name) and not (_DENIALS | FUNCTIONS | {"or"}) & set(name)
    if not name or len(name) > _MAX_LABEL + 1 or not plain or rest[0] not in ("(", "[") or not _encloses(rest) or "," not in rest:
        return pieces
    return rest


def _encloses(pieces: list[str]) -> bool:
    """Does the first bracket close with the last piece?"""
    open_brackets = 0
    for index, piece in enumerate(pieces):
        open_brackets += (piece in ("(", "[")) - (piece in (")", "]"))
        if open_brackets == 0:
            return index == len(pieces) - 1
    return False


def _items(pieces: list[str], depth: int = 0) -> tuple[Expression, ...]:
    """Two or more items between commas, semicolons, "and" or "or" outside brackets; nothing for anything else."""
    if depth >= _MAX_DEPTH or _SEPARATORS.isdisjoint(pieces):
        return ()
    groups: list[list[str]] = [[]]
    open_brackets = 0
    if pieces[0] == "both":
        pieces = pieces[1:]
    for piece in pieces:
        open_brackets += (piece in ("(", "[")) - (piece in (")", "]"))
        if piece in _SEPARATORS and open_brackets == 0:
            if piece in (",", ";") or groups[-1]:
                groups.append([])
        else:
            groups[-1].append(piece)
    if not 2 <= len(groups) <= _MAX_LIST or not all(groups):
        return ()
    return tuple(_classify("", group, depth + 1) for group in groups)


def _is_math(pieces: list[str]) -> bool:
    """Numbers, signs, functions and variables only, and more than one bare name."""
    if not 2 <= len(pieces) <= MAX_MATH_PIECES or max(map(len, pieces)) > _MAX_DIGITS:
        return len(pieces) == 1 and pieces[0] in ("\u03c0", "\u221e", "\u2205")
    if any(one[0].isdecimal() and two[0].isdecimal() for one, two in pairwise(pieces)):
        return False  # two numbers side by side are a hedge
    if not any(piece[0].isdecimal() or piece in _MATH_SIGNS or _is_function(piece) for piece in pieces):
        return False
    if pieces[-1] in _UNFINISHED or pieces.count("(") != pieces.count(")"):
        return False
    bare = split_unit(pieces)[0]
    named = bare[:2] == ["an", "="]  # the "a_n" of a sequence
    return all(_is_math_piece(piece) for piece in bare[named:])


def _is_named_math(pieces: list[str]) -> bool:
    """Mathematics behind a name in words: "the area of the circle = 12 π"."""
    if pieces.count("=") != 1 or len(pieces) > MAX_MATH_PIECES:
        return False
    left = pieces[: pieces.index("=")]
    value = split_name(pieces)[0] if left and all(map(str.isalpha, left)) else pieces
    return len(value) < len(pieces) and _is_math(value)


def _is_math_piece(piece: str) -> bool:
    if piece in _MATH_SIGNS or _is_function(piece) or piece in GREEK or piece[0].isdecimal():
        return True
    short = len(piece) <= 2 and piece.isalnum() and piece[0].isalpha()
    return short and piece not in _SHORT_WORDS and (len(piece) == 1 or piece not in UNITS)


def _is_function(piece: str) -> bool:
    """A function's name; a logarithm's may end in its base."""
    return piece in FUNCTIONS or (piece.startswith("log") and piece[3:].isdecimal())
