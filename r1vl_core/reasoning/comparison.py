"""Do two expressions say the same? Each kind is compared by its own rule; only mathematics that is not written alike stays undecided."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from r1vl_core.reasoning.expressions import MAX_MATH_PIECES, Expression, read_pieces
from r1vl_core.reasoning.inequalities import as_interval
from r1vl_core.reasoning.latex import FUNCTIONS, latex
from r1vl_core.reasoning.quantities import is_formula, of_another, same_quantity, split_name, split_unit
from r1vl_core.reasoning.spellings import GREEK
from r1vl_core.reasoning.units import LETTER_UNITS

Same = Callable[[Expression, Expression], bool | None]

_FILLER = frozenset((*",.;:!?'", "color", "colour"))
_ARTICLES = frozenset(("a", "an", "the"))
_MAX_SYMBOL = 2
_PREPOSITIONS = frozenset(("in", "on", "at", "to"))


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
        return same_items(answer, gold, same_expression)
    if kinds == {"list", "math"}:
        return _same_interval(answer, gold)
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
    pieces, unit, _ = _bare(expression, other)
    if expression.quantity is not None and "/" in pieces and "=" not in pieces:  # "2 1/3" would read as a product
        value = expression.quantity.value
        pieces = ["-"] * (value < 0) + [str(abs(value.numerator)), "/", str(value.denominator)]
    radians = "\u03c0" in other.pieces and "\u03c0" not in pieces
    return latex([*pieces, unit] if unit == "\u00b0" and (radians or not FUNCTIONS.isdisjoint(pieces)) else pieces)


def same_items(answer: Expression, gold: Expression, same: Same) -> bool | None:
    """Do two lists hold the same, in order where order matters? `same` compares the items; None when it leaves one undecided."""
    if len(answer.items) != len(gold.items) or answer.kind != gold.kind:
        return False
    if "\u222a" in (answer.brackets, gold.brackets):
        return _same_set(answer, gold, same) if _is_union(answer) and _is_union(gold) else False
    if answer.brackets == "|" != gold.brackets and not _solutions(answer):
        return False  # "3 or 5" decides nothing
    shapes = {answer.brackets.strip("&|"), gold.brackets.strip("&|")}
    if len(shapes) > 1 and "" not in shapes:
        return False
    named = _by_name(answer.items)
    if named:  # "y = 3, x = 2": the names say which is which
        return _all(same(*pair) for pair in zip(named, _by_name(gold.items) or gold.items, strict=True))
    joined = bool({"&", "|"} & {answer.brackets, gold.brackets})
    free = "{}" in shapes or "|" in (answer.brackets, gold.brackets) or joined or _of_one_unknown(gold)
    if not free:
        return _all(same(*pair) for pair in zip(answer.items, gold.items, strict=True))
    return _same_set(answer, gold, same)


def _all(same: Iterable[bool | None]) -> bool | None:
    """False when one is, else None when one is undecided."""
    undecided = False
    for one in same:
        if one is False:
            return False
        undecided = undecided or one is None
    return None if undecided else True


def _same_set(answer: Expression, gold: Expression, same: Same) -> bool | None:
    """Has every item a partner of its own, in whatever order? Sure partners go first: an undecided one must not take their place."""
    left, undecided = list(gold.items), False
    for item in sorted(answer.items, key=lambda item: not any(item.pieces == other.pieces for other in left)):
        found = [same(item, other) for other in left]
        if True not in found and None not in found:
            return False
        undecided = undecided or True not in found
        left.pop(found.index(True if True in found else None))
    return None if undecided else True


def _same_interval(answer: Expression, gold: Expression) -> bool | None:
    """ "x > 5" and "(5, \u221e)"; anything else of two kinds differs."""
    inequality, listed = (answer, gold) if answer.kind == "math" else (gold, answer)
    interval = as_interval(inequality.pieces)
    return same_expression(read_pieces(interval[1]), listed) if interval and listed.brackets[:1] in ("(", "[") else False


def _is_union(expression: Expression) -> bool:
    """ "(-\u221e, -1) \u222a (3, \u221e)", or the same as "x < -1 or x > 3"."""
    return expression.brackets == "\u222a" or (expression.brackets == "|" and all(as_interval(item.pieces) for item in expression.items))


def _of_one_unknown(expression: Expression) -> bool:
    """ "x = 1, x = 2": the values of one symbol, in no order."""
    names = {item.quantity.name if item.quantity else "" for item in expression.items}
    return len(names) == 1 and all(map(_is_symbol, names))


def _solutions(answer: Expression) -> bool:
    """ "x = 2 or x = -2" and "±2" list all the values of one unknown: no hedge."""
    names = {item.quantity.name if item.quantity else "" for item in answer.items}
    return "or" not in answer.pieces or (len(names) == 1 and "" not in names)


def _by_name(items: tuple[Expression, ...]) -> list[Expression]:
    """Values of different symbols ("x", "x1", "AB", "alpha") in the symbols' order; nothing for anything else."""
    names = [item.quantity.name for item in items if item.quantity and _is_symbol(item.quantity.name)]
    return [item for _, item in sorted(zip(names, items, strict=True), key=lambda pair: pair[0])] if len(set(names)) == len(items) else []


def _is_symbol(name: str) -> bool:
    return 0 < len(name) <= _MAX_SYMBOL or name in GREEK


def _same_ratio(answer: Expression, gold: Expression) -> bool:
    """The same numbers in the same order. Behind the first, leading zeros count: "7:05" is no "7:5"."""
    if len(answer.items) != len(gold.items) or (answer.brackets and gold.brackets and answer.brackets != gold.brackets):
        return False
    first = same_expression(answer.items[0], gold.items[0]) or _is_afternoon(answer, gold) or _is_afternoon(gold, answer)
    return bool(first) and [item.pieces for item in answer.items[1:]] == [item.pieces for item in gold.items[1:]]


def _is_afternoon(twelve: Expression, day: Expression) -> bool:
    """Are the hours of "3:45 pm" and "15:45" the same?"""
    hours = twelve.items[0].quantity, day.items[0].quantity
    return twelve.brackets == "pm" and not day.brackets and all(hours) and hours[0].value + 12 == hours[1].value  # type: ignore[union-attr]


def _same_math(answer: Expression, gold: Expression) -> bool | None:
    if answer.pieces == _turned_round(gold.pieces):
        return True
    intervals = as_interval(answer.pieces), as_interval(gold.pieces)
    if intervals[0] and intervals[1]:
        return intervals[0][0] == intervals[1][0] and same_expression(*(read_pieces(one[1]) for one in intervals if one))
    (one, unit_one, name_one), (two, unit_two, name_two) = _bare(answer, gold), _bare(gold, answer)
    of_angles = {unit_one, unit_two} == {"\u00b0", "rad"}
    if (unit_one and unit_two and unit_one != unit_two and not of_angles) or of_another(name_one, name_two):
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


def _left_side(expression: Expression) -> tuple[str, ...]:
    pieces = expression.pieces
    return pieces[: pieces.index("=")] if pieces.count("=") == 1 else ()


def _are_equations(one: Expression, other: Expression) -> bool:
    """Two equations, one at least with more than a name before "=" ("x + y = 4"), and neither a value found ("x = 4")."""
    left, right = _left_side(one), _left_side(other)
    solved = any(side.quantity and all(map(str.isalpha, _left_side(side))) for side in (one, other))
    return bool(left and right) and not solved and (is_formula(left) or is_formula(right))


def _bare(expression: Expression, other: Expression) -> tuple[list[str], str, str]:
    """(pieces without name and unit, the unit, the name); of two equations both sides stay."""
    pieces, name = list(expression.pieces), ""
    if _are_equations(expression, other):
        return pieces, "", ""
    if expression.quantity is not None:
        pieces, name = split_name(pieces)
    elif pieces.count("=") == 1:
        left = pieces[: pieces.index("=")]
        if left and all(piece.isalpha() for piece in left):
            pieces, name = split_name(pieces)
    number, unit = split_unit(pieces)
    variable = len(unit) == 1 and unit.isalpha() and unit not in LETTER_UNITS  # "5 n" is "n * 5"
    return (pieces, "", name) if variable else (number, unit, name)


def _content(words: list[str]) -> list[str]:
    """The words that count. An article stands before a word: the "A" of "A, B" and of "vitamin A" is none."""
    following = [*words[1:], ""]
    return [
        word
        for word, after in zip(words, following, strict=False)
        if word not in _FILLER and not (word in _ARTICLES and after[:1].isalnum() and after not in ("and", "or"))
    ]


def _same_words(answer: Expression, gold: Expression) -> bool:
    """Equal in all words but articles; one of them may be named ("the color is red") or begin with a preposition ("on Tuesday")."""
    one, two = list(answer.pieces), list(gold.pieces)
    if ("=" in one) != ("=" in two) or (":" in one) != (":" in two):
        one, two = split_name(one)[0], split_name(two)[0]
    one, two = _content(one), _content(two)
    if one and two and (one[0] in _PREPOSITIONS) != (two[0] in _PREPOSITIONS):
        one, two = (pieces[pieces[0] in _PREPOSITIONS :] for pieces in (one, two))
    return one == two != []
