"""Expressions: what kind of thing an answer is, and whether two of them are the same.

An answer is a number with a unit, a yes or no, a range, a list (tuple, set, interval), other mathematics, or words. Two of a kind are
compared by that kind's rule; only mathematics that is not written alike stays undecided (None) for symbolic comparison.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from r1vl_core.reasoning.normal_form import SIGNS, normalise, word_set
from r1vl_core.reasoning.quantities import Quantity, parse_quantity, same_quantity, split_unit, unify_number_marks
from r1vl_core.reasoning.units import UNITS

Kind = Literal["number", "yes_no", "range", "list", "math", "text"]

_WRAPPER = re.compile(r"\\(?:boxed|fbox|text|textbf|textit|textrm|mathrm|mathbf|mathit)\s*+\{(.*)\}", re.DOTALL)
_LEAD_IN = re.compile(
    r"(?:(?:so|thus|hence|therefore|then)\b,?\s*+)?+(?:(?:the|my|our)\s++)?+(?:(?:final|correct|right|best)\s++)*+"
    r"(?:answer|option|choice|result|solution)s?+\s*+(?:(?:is|are|was|would\s+be|must\s+be|should\s+be)\b\s*+:?+|:|=)\s*+"
    r"|(?:the\s++)?+(?:correct\s++)?+(?:option|choice|answer)\s++(?=[(\[]?[a-z](?![^\W_]))"
    r"|(?:so|thus|hence|therefore)\b,?\s*+(?:it\s++is\b\s*+)?+|it\s++is\b\s*+|it's\b\s*+",
    re.IGNORECASE,
)
_PAIRS = (
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("**", "**"),
    ("__", "__"),
    ('"', '"'),
    ("`", "`"),
    ("\u201c", "\u201d"),
)
_RANGE = re.compile(r"((?:- )?[0-9.]++)((?: (?!to )[a-z%\u00b0]++)?+) (?:-|to) ((?:- )?[0-9.]++)((?: [a-z%\u00b0]++)?+)")
_PUNCTUATION = frozenset(",.;:!?'")
_FILLER = _PUNCTUATION | {"a", "an", "the"}
_YES_NO = {"yes": "yes", "no": "no", "true": "true", "false": "false"}
_AFTER_YES_NO = _PUNCTUATION | {"it", "they", "there", "he", "she"}
_MATH_SIGNS = frozenset("+-*/^=<>()[]|!\u221a\u03c0\u221e\u00b1\u00b0%") | {"<=", ">=", "!="}
_UNFINISHED = frozenset("+-*/^=<>([\u221a\u00b1")
_FUNCTIONS = word_set("sin cos tan cot sec csc arcsin arccos arctan log ln lg exp max min gcd lcm mod")
_GREEK = word_set("alpha beta gamma delta theta lambda mu phi omega rho sigma")
_SHORT_WORDS = word_set("is or to of in no an at by if it on so we be do go he me my up us as am and not")
_MAX_MATH_PIECES = 120
_MAX_DIGITS = 40
_MAX_LIST = 24


@dataclass(frozen=True, slots=True)
class Expression:
    """An answer read: `text` is its cleaned text (case kept), `pieces` its normal form, and what `kind` it is.

    A list has `items` and `brackets` ("()", "[)", "{}" … or "" for a bare one); a number has its `quantity`; a range its two ends as items.

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


def read_expression(text: str) -> Expression:
    """Clean an answer's text and find out what it is. Never raises; linear in the text's length."""
    text = clean(text)
    is_set = text.removeprefix("\\left").lstrip().startswith(("\\{", "{")) and text.endswith("}")
    body = text
    if is_set:
        body = text.removeprefix("\\left").lstrip(" \\").removeprefix("{").removesuffix("}").removesuffix("\\").removesuffix("\\right")
    bracketed = is_set or body.startswith(("(", "["))  # there a comma parts items and never decimals
    pieces = normalise(body if bracketed else unify_number_marks(body)).joined.split()
    while pieces and pieces[-1] in _PUNCTUATION:
        pieces.pop()
    if is_set:
        items = _items(pieces)
        if items:
            return Expression(text, ("{", *pieces, "}"), "list", items=items, brackets="{}")
    return _classify(text, pieces)


def clean(text: str) -> str:
    """Take off what stands around an answer: markup, quotes, "The answer is", final punctuation. Signs get one spelling; case stays."""
    text = text.strip()
    if not text.isascii():
        text = text.translate(SIGNS).strip()
    for _ in range(8):
        before = text
        for opening, closing in _PAIRS:
            if text.startswith(opening) and text.endswith(closing) and len(text) >= len(opening) + len(closing):
                text = text[len(opening) : len(text) - len(closing)].strip()
        wrapped = _WRAPPER.fullmatch(text)
        text = wrapped[1].strip() if wrapped else text
        lead_in = _LEAD_IN.match(text)
        text = text[lead_in.end() :] if lead_in else text
        text = text.rstrip(" \t\r\n.;,!?").lstrip()
        if text == before:
            break
    return text


def same_expression(answer: Expression, gold: Expression) -> bool | None:
    """Do both say the same? None when only mathematics can tell (see `symbolic`)."""
    if answer.pieces == gold.pieces:
        return True
    kinds = {answer.kind, gold.kind}
    if kinds == {"number"}:
        assert answer.quantity is not None
        assert gold.quantity is not None
        return same_quantity(answer.quantity, gold.quantity)
    if kinds == {"yes_no"}:
        return answer.pieces[0] == gold.pieces[0]
    if kinds == {"range"} or kinds == {"list"}:
        return _same_items(answer, gold)
    if kinds <= {"number", "math"}:
        return _same_math(answer, gold)
    if kinds & {"number", "math", "range"}:
        return False
    return _words(answer) == _words(gold) != []


def to_latex(expression: Expression) -> str:
    """An expression as LaTeX, without its unit and without the name in front of "=" ("y = 2 x" -> "2 x"), brackets as groups."""
    return " ".join(_latex_pieces(_bare(expression)[0]))


def _classify(text: str, pieces: list[str], depth: int = 0) -> Expression:
    found = tuple(pieces)
    if len(pieces) > 2 and pieces[0] in "([" and pieces[-1] in ")]" and _encloses(pieces):
        items = _items(pieces[1:-1], depth)
        if items:
            return Expression(text, found, "list", items=items, brackets=pieces[0] + pieces[-1])
        if pieces[0] == "(" and depth < 3:
            return _classify(text, pieces[1:-1], depth + 1)
    quantity = parse_quantity(pieces)
    if quantity is not None:
        return Expression(text, found, "number", quantity=quantity)
    if pieces and pieces[0] in _YES_NO and (len(pieces) == 1 or pieces[1] in _AFTER_YES_NO) and len(set(pieces) & set(_YES_NO)) == 1:
        return Expression(text, found, "yes_no")
    ends = _RANGE.fullmatch(" ".join(pieces)) if len(pieces) < 12 else None
    if ends:
        units = [(end or ends[4]).split() for end in (ends[2], ends[4])]
        items = tuple(_classify("", [*ends[at].split(), *unit], 3) for at, unit in zip((1, 3), units, strict=True))
        return Expression(text, found, "range", items=items)
    items = _items(pieces, depth)
    if items:
        return Expression(text, found, "list", items=items, brackets="&" if "and" in pieces else "")
    return Expression(text, found, "math" if _is_math(pieces) else "text")


def _encloses(pieces: list[str]) -> bool:
    """Does the first bracket close with the last piece?"""
    open_brackets = 0
    for index, piece in enumerate(pieces):
        open_brackets += (piece in ("(", "[")) - (piece in (")", "]"))
        if open_brackets == 0:
            return index == len(pieces) - 1
    return False


def _items(pieces: list[str], depth: int = 0) -> tuple[Expression, ...]:
    """Two or more items between commas, semicolons or "and" outside brackets; nothing for anything else."""
    if depth >= 3 or not any(piece in (",", ";", "and") for piece in pieces):
        return ()
    groups: list[list[str]] = [[]]
    open_brackets = 0
    for piece in pieces:
        open_brackets += (piece in ("(", "[")) - (piece in (")", "]"))
        if piece in (",", ";", "and") and open_brackets == 0:
            if piece != "and" or groups[-1]:
                groups.append([])
        else:
            groups[-1].append(piece)
    if not 2 <= len(groups) <= _MAX_LIST or not all(groups):
        return ()
    return tuple(_classify("", group, depth + 1) for group in groups)


def _same_items(answer: Expression, gold: Expression) -> bool | None:
    if len(answer.items) != len(gold.items) or answer.kind != gold.kind:
        return False
    shapes = {answer.brackets.replace("&", ""), gold.brackets.replace("&", "")}
    if len(shapes) > 1 and "" not in shapes:
        return False
    free = "{}" in shapes or ("&" in (answer.brackets, gold.brackets) and all(item.kind == "number" for item in gold.items))
    if not free:
        return all(same_expression(*pair) for pair in zip(answer.items, gold.items, strict=True))
    left = list(gold.items)
    for item in answer.items:
        partner = next((index for index, other in enumerate(left) if same_expression(item, other)), None)
        if partner is None:
            return False
        left.pop(partner)
    return True


def _same_math(answer: Expression, gold: Expression) -> bool | None:
    (one, unit_one, name_one), (two, unit_two, name_two) = _bare(answer), _bare(gold)
    if (unit_one and unit_two and unit_one != unit_two) or (name_one and name_two and name_one != name_two):
        return False
    if not one or not two or max(len(one), len(two)) > _MAX_MATH_PIECES:
        return False
    return True if one == two else None


def _bare(expression: Expression) -> tuple[list[str], str, str]:
    """(pieces without name and unit, the unit, the name)."""
    pieces, name = list(expression.pieces), ""
    if expression.quantity is not None and "=" in pieces:
        name = expression.quantity.name
        pieces = pieces[len(pieces) - pieces[::-1].index("=") :]
    if len(pieces) > 2 and pieces[1] == "=" and len(pieces[0]) == 1 and pieces[0].isalpha() and pieces.count("=") == 1:
        name, pieces = pieces[0], pieces[2:]
    pieces, unit = split_unit(pieces)
    return pieces, unit, name


def _is_math(pieces: list[str]) -> bool:
    """Numbers, signs, functions and variables only, and more than one bare name."""
    if not 2 <= len(pieces) <= _MAX_MATH_PIECES or max(map(len, pieces)) > _MAX_DIGITS:
        return len(pieces) == 1 and pieces[0] in ("\u03c0", "\u221e")
    if any(one[0].isdecimal() and two[0].isdecimal() for one, two in pairwise(pieces)):
        return False  # two numbers side by side are a hedge
    if not any(piece[0].isdecimal() or piece in _MATH_SIGNS for piece in pieces):
        return False
    if pieces[-1] in _UNFINISHED or pieces.count("(") != pieces.count(")"):
        return False
    return all(_is_math_piece(piece) for piece in split_unit(pieces)[0])


def _is_math_piece(piece: str) -> bool:
    if piece in _MATH_SIGNS or piece in _FUNCTIONS or piece in _GREEK or piece[0].isdecimal():
        return True
    return (
        len(piece) <= 2 and piece.isalnum() and piece[0].isalpha() and piece not in _SHORT_WORDS and (len(piece) == 1 or piece not in UNITS)
    )


def _words(expression: Expression) -> list[str]:
    return [piece for piece in expression.pieces if piece not in _FILLER]


def _latex_pieces(pieces: list[str]) -> list[str]:
    """Pieces in LaTeX spelling; the bracket behind "^" or a root becomes a group."""
    spelled = []
    stack: list[bool] = []
    for index, piece in enumerate(pieces):
        before = pieces[index - 1] if index else ""
        if piece == "(":
            stack.append(before in ("^", "\u221a"))
            spelled.append("{" if stack[-1] else "(")
        elif piece == ")":
            spelled.append("}" if stack and stack.pop() else ")")
        else:
            word = _LATEX.get(piece, f"\\{piece}" if piece in _FUNCTIONS | _GREEK else piece)
            spelled.append(f"{{{word}}}" if before in ("^", "\u221a") and piece not in "+-" else word)
    return spelled


_LATEX = {
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
