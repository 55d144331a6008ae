"""Do two expressions say the same? Each kind is compared by its own rule; only mathematics that is not written alike stays undecided."""

from __future__ import annotations

from r1vl_core.reasoning.expressions import MAX_MATH_PIECES, Expression
from r1vl_core.reasoning.latex import FUNCTIONS, latex
from r1vl_core.reasoning.quantities import same_quantity, split_name, split_unit

_FILLER = frozenset((*",.;:!?'", "a", "an", "the", "color", "colour"))
_MAX_NAME = 4
_PREPOSITIONS = frozenset(("in", "on", "at"))


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
    if kinds == {"ratio"} or (gold.kind == "ratio" and answer.kind == "range"):
        return _same_ratio(answer, gold)
    if kinds <= {"number", "math"}:
        return _same_math(answer, gold)
    if kinds & {"number", "math", "range", "ratio"}:
        return False
    return _same_words(answer, gold)


def to_latex(expression: Expression, other: Expression) -> str:
    """An expression as LaTeX to be held against another: without its unit and without the name in front of "=" ("y = 2 x" -> "2 x").

    Degrees stay behind a function and when held against a multiple of \u03c0, which is in radians.
    """
    pieces, unit, _ = _bare(expression)
    radians = "\u03c0" in other.pieces and "\u03c0" not in pieces
    return latex([*pieces, unit] if unit == "\u00b0" and (radians or not FUNCTIONS.isdisjoint(pieces)) else pieces)


def _same_items(answer: Expression, gold: Expression) -> bool | None:
    if len(answer.items) != len(gold.items) or answer.kind != gold.kind:
        return False
    if answer.brackets == "|" != gold.brackets and not _solutions(answer):
        return False  # "3 or 5" decides nothing
    shapes = {answer.brackets.strip("&|"), gold.brackets.strip("&|")}
    if len(shapes) > 1 and "" not in shapes:
        return False
    named = _by_name(answer.items)
    if named:  # "y = 3, x = 2": the names say which is which
        return all(same_expression(*pair) for pair in zip(named, _by_name(gold.items) or gold.items, strict=True))
    joined = bool({"&", "|"} & {answer.brackets, gold.brackets})
    free = "{}" in shapes or "|" in (answer.brackets, gold.brackets) or (joined and all(item.kind == "number" for item in gold.items))
    if not free:
        return all(same_expression(*pair) for pair in zip(answer.items, gold.items, strict=True))
    return _same_set(answer, gold)


def _same_set(answer: Expression, gold: Expression) -> bool:
    left = list(gold.items)
    for item in answer.items:
        partner = next((index for index, other in enumerate(left) if same_expression(item, other)), None)
        if partner is None:
            return False
        left.pop(partner)
    return True


def _solutions(answer: Expression) -> bool:
    """ "x = 2 or x = -2" and "±2" list all the values of one unknown: no hedge."""
    names = {item.quantity.name if item.quantity else "" for item in answer.items}
    return "or" not in answer.pieces or (len(names) == 1 and "" not in names)


def _by_name(items: tuple[Expression, ...]) -> list[Expression]:
    """Values of different one-letter names in the names' order; nothing for anything else."""
    names = [item.quantity.name for item in items if item.quantity and len(item.quantity.name) == 1]
    return [item for _, item in sorted(zip(names, items, strict=True), key=lambda pair: pair[0])] if len(set(names)) == len(items) else []


def _same_ratio(answer: Expression, gold: Expression) -> bool:
    """The same numbers in the same order. Behind the first, leading zeros count: "7:05" is no "7:5"."""
    if len(answer.items) != len(gold.items) or (answer.brackets and gold.brackets and answer.brackets != gold.brackets):
        return False
    first = same_expression(answer.items[0], gold.items[0])
    return bool(first) and [item.pieces for item in answer.items[1:]] == [item.pieces for item in gold.items[1:]]


def _same_math(answer: Expression, gold: Expression) -> bool | None:
    if answer.pieces == _turned_round(gold.pieces):
        return True
    (one, unit_one, name_one), (two, unit_two, name_two) = _bare(answer), _bare(gold)
    if (unit_one and unit_two and unit_one != unit_two) or (name_one and name_two and name_one != name_two):
        return False
    if not one or not two or max(len(one), len(two)) > MAX_MATH_PIECES:
        return False
    if bool(_variables(one)) != bool(_variables(two)):
        return False  # a number is no formula, whatever a parser makes of the letters
    return True if one == two else None


def _turned_round(pieces: tuple[str, ...]) -> tuple[str, ...]:
    """An equation with its sides exchanged: "AB = CD" is "CD = AB"."""
    if pieces.count("=") != 1:
        return pieces
    middle = pieces.index("=")
    return (*pieces[middle + 1 :], "=", *pieces[:middle])


def _variables(pieces: list[str]) -> set[str]:
    """Letters that stand for something unknown; "e" and "i" have values, "f ( x )" is a name."""
    return {piece for piece in pieces if piece.isalpha() and piece not in FUNCTIONS and piece not in ("e", "i", "\u03c0")}


def _bare(expression: Expression) -> tuple[list[str], str, str]:
    """(pieces without name and unit, the unit, the name)."""
    pieces, name = list(expression.pieces), ""
    if expression.quantity is not None:
        pieces, name = split_name(pieces)
    elif pieces.count("=") == 1:
        left = pieces[: pieces.index("=")]
        if 0 < len(left) <= _MAX_NAME and all(piece.isalpha() for piece in left):
            pieces, name = split_name(pieces)
    pieces, unit = split_unit(pieces)
    return pieces, unit, name


def _same_words(answer: Expression, gold: Expression) -> bool:
    """Equal in all words but articles; one of them may be named ("the color is red") or begin with a preposition ("on Tuesday")."""
    one, two = list(answer.pieces), list(gold.pieces)
    if ("=" in one) != ("=" in two) or (":" in one) != (":" in two):
        one, two = split_name(one)[0], split_name(two)[0]
    one, two = ([piece for piece in pieces if piece not in _FILLER] for pieces in (one, two))
    if one and two and (one[0] in _PREPOSITIONS) != (two[0] in _PREPOSITIONS):
        one, two = (pieces[pieces[0] in _PREPOSITIONS :] for pieces in (one, two))
    return one == two != []
