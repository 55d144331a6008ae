"""Groups: LaTeX fractions, roots and powers, and brackets that change nothing, as the pieces of a normal form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from r1vl_core.reasoning.units import UNITS

_PRODUCT_SIGNS = ("*", "/", "times", "\\cdot", "\\div", "by")
_BEHIND_BRACKET = re.compile(r"\)[ \t]*+(?:[*/]|\\(?:times|cdot|div)|times|by)")
_BINDING = frozenset("*/^\u221a")
_MAX_INSIDE = 14  # tokens from bracket to bracket; a longer group keeps its brackets


def is_grouped(text: str) -> bool:
    """Whether a text in small letters may hold a fraction, a root or a power in braces, which take what is behind them, or brackets
    around a product."""
    if "frac" in text or "sqrt" in text or "^{" in text or "\u221a" in text:
        return True
    return "(" in text and (_multiplies(text) or _BEHIND_BRACKET.search(text) is not None)


def _multiplies(text: str) -> bool:
    """Whether a bracket opens behind a product sign or as an exponent. A pattern that begins with these signs is ten times slower."""
    at = text.find("(")
    while at >= 0:
        end = at
        while end and text[end - 1] in " \t":
            end -= 1
        if text.endswith(_PRODUCT_SIGNS, 0, end) or text.endswith("^", 0, at):
            return True
        at = text.find("(", at + 1)
    return False


_BARE_FRACTIONS = frozenset(("frac", "dfrac", "tfrac", "cfrac"))  # the backslash is often lost on the way
_FRACTIONS = frozenset(f"\\{name}" for name in _BARE_FRACTIONS)
_ROOTS = frozenset(("\\sqrt", "sqrt", "\u221a"))
_MARKS = _BARE_FRACTIONS | _FRACTIONS | _ROOTS | frozenset("(){}^")


class Groups:
    """The pieces of tokens with LaTeX groups resolved: `\\frac{a}{b}` reads a / b, with brackets where a group needs them.

    A product over something needs none: "\\frac{2x}{3}", "(2x)/3" and "2x/3" all read 2 x / 3.
    `role` is what the next group or single token is: "over" (a numerator), "under", "argument" (of a root or a power) or nothing.
    """

    def __init__(self, parts: Sequence[str], pieces: list[str], products: bool) -> None:
        self.gaps, self.tokens, self.pieces, self.products = parts[0::2], parts[1::2], pieces, products
        self.open: list[tuple[str, str, int]] = []  # (closing bracket, role of the group, index of its opening bracket)
        self.role, self.pair = "", (-1, -1)  # the pair of brackets that closed last
        self.raised: list[int] = []  # how many groups were open where a fraction without a group of its own became an argument
        for index, token in enumerate(self.tokens):
            if not self.role and token not in _MARKS:
                continue  # nearly every token: a word or a number that no command waits for
            if self.role and "\n" in self.gaps[index]:
                self.role, self.raised = "", []  # a command broken off at the end of a line takes nothing from the next one
            self._read(index, token)

    def _read(self, index: int, token: str) -> None:
        if token in "{(":
            self.open.append(("}" if token == "{" else ")", self.role, index))
            if token == "{":
                self.pieces[index] = ""
            self.role = ""
        elif self.open and token == self.open[-1][0]:
            self._close(index)
        elif token == "}":
            self.pieces[index] = self.role = ""
        elif token in _FRACTIONS or (token in _BARE_FRACTIONS and self.tokens[index + 1 : index + 2] == ["{"]):
            self.pieces[index] = "(" if self.role == "argument" else ""
            self.raised += [len(self.open)] if self.role == "argument" else []
            self.role = "over"
        elif token == "^" or token in _ROOTS:
            self.role = "argument"
        elif self.role == "argument" and (token in "[]" or (index and self.tokens[index - 1] == "[")):
            pass  # the index of a root, as in \\sqrt[3]{x + 1}
        elif self.role == "over":
            self._short_fraction(index, token)
        elif self.role == "under":
            self._end_fraction(index)
        else:
            self.role = ""

    def _short_fraction(self, index: int, token: str) -> None:
        """A fraction without braces: `\\frac12`, `\\frac ab`, `\\frac\\pi2`."""
        if len(token) > 1 and token.isalnum():
            self.pieces[index] = f"{token[0]} / {token[1]}" + f" * {token[2:]}" * (len(token) > 2)
            self._end_fraction(index)
        else:
            self.pieces[index], self.role = f"{self.pieces[index]} /".lstrip(), "under"

    def _close(self, index: int) -> None:
        bracket, role, start = self.open.pop()
        inside = " ".join(self.pieces[start + 1 : index]).split() if index - start <= _MAX_INSIDE else ["", "", ""]
        if bracket == ")" and role == "":
            self.role, self.pair = "", (start, index)
            if self._is_redundant(inside, start, index):
                self.pieces[start] = self.pieces[index] = ""
            return  # an ordinary pair of brackets
        signed = len(inside) == 2 and inside[0] in ("-", "+")
        bracketed = self.pair == (start + 1, index - 1)
        several = len(inside) > 1 and not bracketed and not (signed and not (role == "over" and self._follows_operand(start)))
        bare = inside[1:-1] if bracketed else inside
        if (role == "over" and self._is_product(bare, start)) or (role == "under" and _is_value(bare)):
            several = False
            if bracketed:
                self.pieces[self.pair[0]] = self.pieces[self.pair[1]] = ""
        self.pieces[start] = "(" if several and role else ""
        self.pieces[index] = " ".join(filter(None, (")" if several and role else "", "/" if role == "over" else "")))
        self.role = "under" if role == "over" else ""
        if role == "under":
            self._end_fraction(index)

    def _is_redundant(self, inside: list[str], start: int, index: int) -> bool:
        """Does a pair of brackets change nothing: "(3 * 4) / 2", "5 * (1/2)", "(6) / (3)"?"""
        same_line = index + 1 < len(self.tokens) and "\n" not in self.gaps[index + 1]  # a star on the next line is a bullet
        following = self.pieces[index + 1].split(" ")[0] if same_line else ""
        before = next(self._before(start), "").split(" ")[-1]
        if following == "^" or following[:1].isalnum() or following in ("(", "\u221a", "\u03c0") or not {following, before} & {"*", "/"}:
            return False
        return self._is_product(inside, start) or (before == "/" and len(inside) == 1 and _is_operand(inside[0]))

    def _is_product(self, inside: list[str], start: int) -> bool:
        """Are these pieces a product or a quotient that may stand without brackets behind what is before them?"""
        before = next(self._before(start), "").split(" ")[-1]
        if before in ("/", "^", "\u221a", ")") or not inside or not all(_is_operand(piece) or piece in _BINDING for piece in inside):
            return False
        if (inside[0] in _BINDING and inside[0] != "\u221a") or inside[-1] in _BINDING:
            return False
        touches = start > 0 and not self.gaps[start] and self.tokens[start - 1][-1:].isalnum() and self.pieces[start - 1] != ""
        return not touches and not _is_operand(before)

    def _follows_operand(self, index: int) -> bool:
        before = next(self._before(index), "")
        return before[-1:].isalnum() or before[-1:] == ")"

    def _before(self, index: int) -> Iterator[str]:
        """The pieces on the left that stand on the same line, the nearest first."""
        for at in range(index - 1, max(index - 4, -1), -1):
            if "\n" in self.gaps[at + 1]:
                return
            if self.pieces[at]:
                yield self.pieces[at]

    def _end_fraction(self, index: int) -> None:
        self.role = ""
        if self.raised and self.raised[-1] == len(self.open):
            self.raised.pop()
            self.pieces[index] = f"{self.pieces[index]} )".lstrip()
        if self.products and index + 1 < len(self.tokens) and _is_factor(self.tokens[index + 1]):
            self.pieces[index] = f"{self.pieces[index]} *".lstrip()


def _is_operand(piece: str) -> bool:
    return piece[:1].isdecimal() or piece == "\u03c0" or (len(piece) == 1 and piece.isalpha())


def _is_value(pieces: list[str]) -> bool:
    """A number, a letter or the root of one."""
    value = pieces[pieces[:1] == ["\u221a"] :]
    return len(value) == 1 and _is_operand(value[0])


def _is_factor(token: str) -> bool:
    """Does this token, right behind a fraction, multiply it? A single letter that is a unit's does not."""
    return token in _ROOTS or token in ("(", "\\pi", "pi", "\u03c0") or (len(token) == 1 and token.isalpha() and token not in UNITS)
