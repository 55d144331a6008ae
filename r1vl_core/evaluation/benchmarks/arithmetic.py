"""The value of a Python expression that is arithmetic, without executing anything: a walk over its syntax tree, with limits.

The toolkit hands predictions to `eval`. Where such a text is arithmetic this gives the value that `eval` gives; all else (names, calls of
anything but a few functions of numbers, attributes, a value too large) has no value here.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

MAX_CHARACTERS = 2_000
"""A longer text has no value."""

MAX_BITS = 20_000
"""A whole number with more bits has no value."""


MAX_DIGITS = 400
"""Digits a number may be rounded to."""


class NotArithmeticError(ValueError):
    """A text without a value, and why."""


def value(text: str, names: Mapping[str, Any] | None = None) -> Any:
    """The value of an arithmetic expression; `names` are the variables it may use. Raises NotArithmeticError, and nothing else.

    >>> value("2**3 - 1/2"), value("2^3"), value("a + 1", {"a": 6})
    (7.5, 1, 7)
    """
    if len(text) > MAX_CHARACTERS:
        raise NotArithmeticError(f"more than {MAX_CHARACTERS} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # "5(3)" is not our text to mend
            tree = ast.parse(text.strip(" \t"), mode="eval")
        return _value(tree.body, names or {})
    except NotArithmeticError:
        raise
    except (SyntaxError, ValueError, TypeError, ArithmeticError, IndexError, RecursionError, MemoryError) as error:
        raise NotArithmeticError(f"{type(error).__name__}") from None


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | complex):
        return _bounded(node.value)
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    rule = _RULES.get(type(node))
    if rule is None:
        raise NotArithmeticError(type(node).__name__)
    return _bounded(rule(node, names))


def _bounded(number: Any) -> Any:
    if isinstance(number, int) and number.bit_length() > MAX_BITS:
        raise NotArithmeticError("too large")
    return number


def _unary(node: ast.UnaryOp, names: Mapping[str, Any]) -> Any:
    return _UNARY[type(node.op)](_value(node.operand, names))


def _binary(node: ast.BinOp, names: Mapping[str, Any]) -> Any:
    left, right = _value(node.left, names), _value(node.right, names)
    if not (_is_number(left) and _is_number(right)):
        raise NotArithmeticError("no numbers")  # "-" is all the toolkit does with a value, and a list has none
    if isinstance(node.op, ast.Pow | ast.LShift) and isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * right if isinstance(node.op, ast.Pow) else left.bit_length() + right
        if bits > MAX_BITS:
            raise NotArithmeticError("too large")
    return _BINARY[type(node.op)](left, right)


def _comparison(node: ast.Compare, names: Mapping[str, Any]) -> bool:
    values = [_value(one, names) for one in (node.left, *node.comparators)]
    if any(type(op) not in _COMPARISONS for op in node.ops):
        raise NotArithmeticError("Compare")
    pairs = zip(node.ops, values, values[1:], strict=False)
    return all(_COMPARISONS[type(op)](left, right) for op, left, right in pairs)


def _logic(node: ast.BoolOp, names: Mapping[str, Any]) -> Any:
    stops = isinstance(node.op, ast.Or)
    result: Any = None
    for operand in node.values:
        result = _value(operand, names)
        if bool(result) is stops:
            break
    return result


def _choice(node: ast.IfExp, names: Mapping[str, Any]) -> Any:
    return _value(node.body if _value(node.test, names) else node.orelse, names)


def _sequence(node: ast.Tuple | ast.List, names: Mapping[str, Any]) -> Any:
    items = [_value(item, names) for item in node.elts]
    return items if isinstance(node, ast.List) else tuple(items)


def _item(node: ast.Subscript, names: Mapping[str, Any]) -> Any:
    return _value(node.value, names)[_value(node.slice, names)]


def _call(node: ast.Call, names: Mapping[str, Any]) -> Any:
    if node.keywords or not isinstance(node.func, ast.Name) or node.func.id in names or node.func.id not in _FUNCTIONS:
        raise NotArithmeticError("Call")
    arguments = [_value(argument, names) for argument in node.args]
    if node.func.id == "pow":
        if len(arguments) != 2:
            raise NotArithmeticError("Call")
        return _binary(ast.BinOp(node.args[0], ast.Pow(), node.args[1]), names)
    return _FUNCTIONS[node.func.id](*arguments)


def _rounded(number: Any, digits: int = 0) -> Any:
    if abs(digits) > MAX_DIGITS:
        raise NotArithmeticError("too many digits")  # Python would work out that power of ten
    return round(number, digits) if digits else round(number)


def _is_number(one: Any) -> bool:
    return not isinstance(one, list | tuple | str)


_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "round": _rounded,
    "int": int,
    "float": float,
    "max": max,
    "min": min,
    "sum": sum,
    "len": len,
    "pow": pow,
}
_RULES: dict[type[ast.expr], Callable[[Any, Mapping[str, Any]], Any]] = {
    ast.UnaryOp: _unary,
    ast.BinOp: _binary,
    ast.Compare: _comparison,
    ast.BoolOp: _logic,
    ast.IfExp: _choice,
    ast.Tuple: _sequence,
    ast.List: _sequence,
    ast.Subscript: _item,
    ast.Call: _call,
}
