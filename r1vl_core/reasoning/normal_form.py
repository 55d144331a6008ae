"""Normal forms: one spelling for the many ways a quantity, an expression or a phrase can be written.

`normalise` cuts a text into tokens and gives each its canonical pieces, so that "12/ 2 = 6", "\\frac{12}{2} = 6", "12 ÷ 2 = 6" and
"12 divided by 2 equals 6" become the same pieces `12 / 2 = 6`. Numbers and words are whole tokens, so "6" never stands inside "16",
"6.5" or "x6". Every regular expression here is linear: alternatives are tried once and quantifiers are possessive.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

_SUPERSCRIPTS = {"\u00b2": "2", "\u00b3": "3", "\u00b9": "1", "\u2070": "0"} | {chr(0x2070 + d): str(d) for d in range(4, 10)}
_VULGAR = {
    "\u00bd": "1 / 2",
    "\u00bc": "1 / 4",
    "\u00be": "3 / 4",
    "\u2153": "1 / 3",
    "\u2154": "2 / 3",
    "\u2155": "1 / 5",
    "\u215b": "1 / 8",
}
_NOT_LETTERS = "".join((*_SUPERSCRIPTS, *_VULGAR))

SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\ufe63\uff0d", "-"),
        **dict.fromkeys("\u00d7\u00b7\u22c5\u2219\u2217\u2715\u2a2f\uff0a", "*"),
        **dict.fromkeys("\u00f7\u2215\u2044\uff0f", "/"),
        **dict.fromkeys("\u00a0\u2009\u202f\u2007\u2002\u2003\u3000\u200b\u200c\u200d\u2060\ufeff", " "),
        **dict.fromkeys("\u2018\u2019\u02bc", "'"),
        **{chr(0x2080 + digit): str(digit) for digit in range(10)},
        **{chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F) if code not in (0xFF0A, 0xFF0D, 0xFF0F)},
        "\u2014": ",",
        "\u00ba": "\u00b0",
        "\u3002": ".",
    }
)
"""Signs to the one we compare by: one character for one character, so that offsets stay true."""

_LETTER = rf"[^\W\d_{_NOT_LETTERS}]"
_LETTER_OR_DIGIT = rf"[^\W_{_NOT_LETTERS}]"
_NUMBER = (
    r"[0-9]{1,3}(?:(?:,|\{,\}|\\,)[0-9]{3})++(?![0-9])(?:\.[0-9]++)?+"  # 1,234.5
    r"|[0-9]++(?:\.[0-9]++)?+(?:e[+-]?[0-9]++)?+|\.[0-9]++"
)
_WORD = (
    r"[a-z]++(?![\w'])"  # nearly every word; the rest is for the others
    rf"|{_LETTER}{_LETTER_OR_DIGIT}*+(?:_\{{[a-z0-9]{{1,9}}\}}|_[a-z0-9](?![a-z0-9]))?+(?:'{_LETTER}++)?+"
)
_COMMAND = r"\\[a-z]++|\\%"
_RELATION = r"<=|>=|!=|==|=>|->"
_FAST_TOKEN = re.compile(rf"({_WORD}|{_NUMBER}|{_COMMAND}|{_RELATION}|[^\s\\$\"_~`#{{}}])")
_GROUP_TOKEN = re.compile(rf"({_WORD}|{_NUMBER}|{_COMMAND}|{_RELATION}|[^\s\\$\"_~`#])")

_MARKUP = re.compile(
    r"\\(?:left|right|text|textbf|textit|mathrm|mathbf|mathit|operatorname|boxed|displaystyle|quad|qquad|big|bigg|begin|end|label)(?![a-z])"
    r"|\\[()\[\]!;: $&]|\\\\|(?<![0-9])\\,|\\,(?![0-9]{3})"
)
_TIMES_X = re.compile(r"x(?= ?[0-9])(?:(?<=[0-9]x)|(?<=[0-9] x))")
_DEGREE = re.compile(r"\^ ?(?:\{ ?\\(?:circ|degree) ?\}|\\(?:circ|degree)(?![a-z]))")
_EQUAL_TO = re.compile(r"(?:\bis\s++)?+\bequals?+\s++to\b")
_BY = re.compile(r"\b(?:divided|multiplied)\s++by\b")
_POWER = re.compile(r"(?<=[0-9)])\*\*(?=[\w(])|(?<=\b[a-z])\*\*(?=[\w(])")
_HYPHEN = re.compile(r"(?<=[^\W\d_]{2})-(?=[^\W\d_]{2})")

_PIECES = {
    **{sign: f"^ {digit}" for sign, digit in _SUPERSCRIPTS.items()},
    **_VULGAR,
    **dict.fromkeys(("is", "equals", "equal", "==", "\\equiv"), "="),
    **dict.fromkeys(("\\times", "\\cdot", "\\ast", "times"), "*"),
    **dict.fromkeys(("\\div", "\\over"), "/"),
    **dict.fromkeys(("\\%", "percent", "\\percent"), "%"),
    **dict.fromkeys(("degree", "degrees", "\\degree", "\\circ", "\u2218"), "\u00b0"),
    **dict.fromkeys(("\\pi", "pi"), "\u03c0"),
    **dict.fromkeys(("\\sqrt", "sqrt", "\u221a"), "\u221a"),
    **dict.fromkeys(("\\neq", "\\ne", "\u2260"), "!="),
    **dict.fromkeys(("\\leq", "\\le", "\u2264", "\u2a7d"), "<="),
    **dict.fromkeys(("\\geq", "\\ge", "\u2265", "\u2a7e"), ">="),
    **dict.fromkeys(("\\approx", "\u2248", "\\simeq"), "\u2248"),
    **dict.fromkeys(("\\rightarrow", "\\to", "\\implies", "=>", "->", "\u2192", "\u21d2"), "."),
    **dict.fromkeys(("\\therefore", "\u2234", "\\because", "\u2235", "\\dots", "\\ldots", "\u2026"), "."),
    **dict.fromkeys(("\\angle", "\u2220"), "angle"),
    **dict.fromkeys(("\\triangle", "\u25b3"), "triangle"),
    **dict.fromkeys(("\\parallel", "\u2225"), "\u2225"),
    **dict.fromkeys(("\\perp", "\u22a5"), "\u22a5"),
    **dict.fromkeys(("isn't", "aren't"), "= not"),
    **dict.fromkeys(("\\infty", "infinity"), "\u221e"),
    "plus": "+",
    "minus": "-",
    "\\pm": "\u00b1",
    "cannot": "can not",
    "'": "",
}
_PIECES |= {"\u03b1": "alpha", "\u03b2": "beta", "\u03b3": "gamma", "\u03b8": "theta", "\u03bb": "lambda", "\u03bc": "mu"}
_CACHE_LIMIT = 50_000


def word_set(words: str) -> frozenset[str]:
    """The words of a text, for tables that are easier to read as one line than as a list."""
    return frozenset(words.split())


class _Pieces(dict[str, str]):
    """The canonical pieces of a token, worked out once; bounded, because the tokens come from any text at all."""

    def __missing__(self, token: str) -> str:
        if len(self) > _CACHE_LIMIT:
            self.clear()
            self.update(_PIECES)
        pieces = self[token] = _pieces(token)
        return pieces


def _pieces(token: str) -> str:
    first = token[0]
    if first.isdecimal() or (first == "." and len(token) > 1):
        return _number_pieces(token)
    if first == "\\":
        return _PIECES.get(token, token[1:])
    if token.endswith("n't"):
        return f"{token[:-3]} not".lstrip()
    return token.replace("_{", "").replace("}", "").replace("_", "")


def _number_pieces(token: str) -> str:
    """Thousands separators dropped, trailing zeros of the decimals dropped, ".5" spelled "0.5"."""
    for separator in ("{,}", "\\,", ","):
        token = token.replace(separator, "")
    mantissa, mark, exponent = token.partition("e")
    whole, _, decimals = mantissa.partition(".")
    decimals = decimals.rstrip("0")
    return (whole or "0") + (f".{decimals}" if decimals else "") + mark + exponent


_CANON = _Pieces(_PIECES)


@dataclass(frozen=True, slots=True)
class NormalText:
    """A text in normal form. `text` is the source lower-cased with signs unified, character for character; `parts` alternates gap
    and token; `pieces[i]` are the canonical pieces of token i (may be empty or several, blank-separated).

    >>> normalise("12÷2 is 6").joined
    '12 / 2 = 6'
    """

    text: str
    parts: Sequence[str]
    pieces: Sequence[str]

    @property
    def joined(self) -> str:
        """All pieces, one blank between them."""
        return " ".join(filter(None, self.pieces))

    def piece_ends(self) -> list[int]:
        """For each token the length of `joined` (with a blank behind every piece) up to and including it."""
        return list(accumulate(len(piece) + 1 if piece else 0 for piece in self.pieces))

    def part_ends(self) -> list[int]:
        """For each part its end in `text`; token i is part 2i + 1."""
        return list(accumulate(map(len, self.parts)))


def normalise(text: str) -> NormalText:
    """Cut a text into tokens and their canonical pieces. Never raises; linear in the text's length.

    >>> normalise("\\\\frac{12}{2} = 6").joined
    '12 / 2 = 6'
    """
    text = _flatten(text)
    if "frac" in text or "sqrt" in text or "^{" in text:
        parts = _GROUP_TOKEN.split(text)
        return NormalText(text, parts, _ungroup(parts[1::2]))
    parts = _FAST_TOKEN.split(text)
    return NormalText(text, parts, list(map(_CANON.__getitem__, parts[1::2])))


def _flatten(text: str) -> str:
    """Lower case, one spelling a sign, markup blanked; the length never changes."""
    lower = text.lower()
    if len(lower) != len(text):  # a few capitals lower-case to two characters
        lower = "".join(character.lower() if len(character.lower()) == 1 else character for character in text)
    if not lower.isascii():
        lower = lower.translate(SIGNS)
    if "\\" in lower:
        lower = _MARKUP.sub(_blank, _DEGREE.sub(_degree, lower))
    if "**" in lower:
        lower = _POWER.sub("^ ", lower).replace("**", "  ")
    if "x" in lower:
        lower = _TIMES_X.sub("*", lower)
    if "equal" in lower:
        lower = _EQUAL_TO.sub(_equals, lower)
    if "divided" in lower or "multiplied" in lower:
        lower = _BY.sub(_operator, lower)
    return _HYPHEN.sub(" ", lower) if "-" in lower else lower


def _blank(markup: re.Match[str]) -> str:
    return " " * len(markup[0])


def _degree(markup: re.Match[str]) -> str:
    return "\u00b0".ljust(len(markup[0]))


def _equals(words: re.Match[str]) -> str:
    return "=".ljust(len(words[0]))


def _operator(words: re.Match[str]) -> str:
    return ("/" if words[0].startswith("d") else "*").ljust(len(words[0]))


_FRACTIONS = frozenset(("frac", "dfrac", "tfrac", "cfrac", "\\frac", "\\dfrac", "\\tfrac", "\\cfrac"))
_OPENERS = _FRACTIONS | {"^", "\\sqrt", "sqrt", "\u221a"}


def _ungroup(tokens: Sequence[str]) -> list[str]:
    """The pieces of tokens with LaTeX groups resolved: `\\frac{a}{b}` reads a / b, with brackets around a group of several tokens."""
    pieces = list(map(_CANON.__getitem__, tokens))
    stack: list[tuple[str, int]] = []  # (role of the open group, index of its brace)
    role = ""  # what the next group or single token is: "over" (numerator), "under", "argument" or nothing
    for index, token in enumerate(tokens):
        if token == "{":
            stack.append((role, index))
            pieces[index], role = "", ""
        elif token == "}":
            opened, start = stack.pop() if stack else ("", index)
            pieces[index], role = _close(pieces, opened, start, index), "under" if opened == "over" else ""
        elif token in _OPENERS:
            pieces[index] = "" if token in _FRACTIONS else pieces[index]
            role = "over" if token in _FRACTIONS else "argument"
        elif role == "argument" and (token in ("[", "]") or (index and tokens[index - 1] == "[")):
            continue  # the index of a root, as in \\sqrt[3]{x + 1}
        elif role == "over" and token.isdecimal():
            pieces[index] = " / ".join(token) if len(token) == 2 else f"{token} /"
            role = "" if len(token) == 2 else "under"
        else:
            role = ""
    return pieces


def _close(pieces: list[str], role: str, start: int, end: int) -> str:
    """What the brace that closes a group stands for; a group of several tokens gets brackets."""
    if role == "":
        return ""
    several = end - start != 2
    if several:
        pieces[start] = "("
    return " ".join(filter(None, (")" if several else "", "/" if role == "over" else "")))
