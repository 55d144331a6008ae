"""Normal forms: one spelling for the many ways a quantity, an expression or a phrase can be written.

`normalise` cuts a text into tokens and gives each its canonical pieces, so that "12/ 2 = 6", "\\frac{12}{2} = 6", "12 ÷ 2 = 6" and
"12 divided by 2 equals 6" become the same pieces `12 / 2 = 6`. Numbers and words are whole tokens, so "6" never stands inside "16",
"6.5" or "x6". Every regular expression here is linear: alternatives are tried once and quantifiers are possessive.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from r1vl_core.reasoning.groups import Groups, is_grouped
from r1vl_core.reasoning.spellings import INDICES, PIECES, RAISED, SIGNS, VULGAR

_NOT_LETTERS = "".join((*RAISED, *VULGAR, "\u03c0"))  # "\u03c0r" is a product like "\\pi r"
_LETTER = rf"[^\W\d_{_NOT_LETTERS}]"
_LETTER_OR_DIGIT = rf"[^\W_{_NOT_LETTERS}]"
_NUMBER = (
    r"[0-9]{1,3}(?:(?:,|\{,\}|\\,)[0-9]{3})++(?![0-9])(?:\.[0-9]++)?+"  # 1,234.5
    r"|[0-9]++(?:\.[0-9]++)?+(?:e[+-]?[0-9]++)?+|(?<![\w.])\.[0-9]++"
)
_WORD = (
    r"[a-z]++(?![\w'])"  # nearly every word; the rest is for the others
    rf"|{_LETTER}{_LETTER_OR_DIGIT}*+(?:_\{{[a-z0-9]{{1,9}}\}}|_[a-z0-9](?![a-z0-9])|_[0-9]{_LETTER_OR_DIGIT}++)*+(?:'{_LETTER}++)?+"
)
_OTHERS = r"\\log_(?:[0-9]|\{[0-9]{1,3}\})|\\[a-z]++|\\%|<=|>=|!=|==|=>|->|\+/-|[\u207a\u207b]?[\u00b2\u00b3\u00b9\u2070\u2074-\u2079]++"
_FAST_TOKEN = re.compile(rf"({_WORD}|{_NUMBER}|{_OTHERS}|[^\s\\$\"_~`#{{}}])")
_GROUP_TOKEN = re.compile(rf"({_WORD}|{_NUMBER}|{_OTHERS}|[^\s\\$\"_~`#])")

_MARKUP = re.compile(
    r"\\(?:left|right|text(?:bf|it|rm|sf|tt)?|math(?:rm|bf|it|sf|tt)|operatorname|boxed|fbox|mbox|emph|underline|displaystyle|quad|qquad"
    r"|[bB]igg?[lr]?|begin|end|label|over(?:line|rightarrow)(?= ?\{ ?[a-z]))(?![a-z])"
    r"|\\[()\[\]!;:> $&]|\\\\|\\,(?<![0-9]\\,)|\\,(?![0-9]{3})"
)
_TAG = re.compile(r"</?(?:b|i|u|p|em|br|strong|span|div|code|answer) ?/?>")
_ALIGNMENT = re.compile(r"(?<!&)&++(?= ?[=<>\\])|(?<=[=<>])&|(?<=[=<>] )&")
_X_BEFORE_NUMBER = re.compile(r"x(?=[ \t]*+[0-9])")
_MAX_BLANKS = 8  # between a number and the "x" behind it
_FORMULA = re.compile(  # a chemical formula in upright letters: "\\text{H}_2\\text{O}"
    r"\\(?:text|mathrm)\s*+\{([a-z]{1,9}+)\}_(?:\{([0-9]{1,3}+)\}|([0-9]))(?:\\(?:text|mathrm)\s*+\{([a-z]{1,9}+)\}(?!_))?+"
)
# Thin and hard blanks between thousands: an ordinary one may stand between two numbers.
_THIN_THOUSANDS = re.compile("(?<=[0-9])[\u00a0\u2009\u202f](?=[0-9]{3}(?![0-9]))")
_DEGREE = re.compile(r"\^ ?(?:\{ ?\\(?:circ|degree) ?\}|\\(?:circ|degree)(?![a-z]))")
_EQUAL_TO = re.compile(r"(?:\bis\s++)?+\bequals?+\s++to\b")
_MAY_EQUAL_TO = re.compile(r"equals?+\s++to")  # a pattern that looks behind at every place is many times slower
_COLON = re.compile(r"(?:(?<=\bis)|(?<=\bare)|(?<=\bequals)|(?<==))[ *]*+:(?![0-9=])")
_BY = re.compile(r"\b(?:divided|multiplied)\s++by\b")
_ROOT = re.compile(r"(?<!cube )(?<!th )\b(?:the\s++)?+(?:square\s++)?+root\s++(?:of\s++)?+(?=[0-9(])")
_POWER = re.compile(r"(?:(?<=[0-9)])|(?<=\b[a-z]))\*\*(?=[\w(])|(?:(?<=[0-9)] )|(?<=\b[a-z] ))\*\*(?= [\w(])")
# A star that begins or ends an emphasised word; behind a number, a bracket or a single letter it multiplies.
_EMPHASIS = re.compile(rf"(?<![^\s(])(?<![0-9)] )(?<!\b[a-z] )\*(?={_LETTER}{{2}})|(?<={_LETTER}{{2}})\*(?![\w(]| ?[0-9])")
# A hyphen between words; between names of two letters ("AB-CD", "dx-dy") it is a minus.
_HYPHEN = re.compile(
    rf"-(?={_LETTER}{{2}})(?:(?<={_LETTER}{{3}}-)|(?<={_LETTER}{{2}}-)(?={_LETTER}{{3}})"
    r"|(?<=[0-9]-)(?!(?:sin|cos|tan|log|ln|exp|sqrt|pi)\b))"
)
_FUNCTION_OF_NUMBER = re.compile(r"(?:sin|cos|tan|cot|sec|csc)[0-9]++")
# "x\u2081x\u2082" and "H\u2082O" are one word or two, as their indices are written: they are always two pieces.
_BEHIND_INDEX = re.compile(rf"(?<=[0-9])(?={_LETTER})")
_CACHE_LIMIT = 50_000


class _Pieces(dict[str, str]):
    """The canonical pieces of a token, worked out once; bounded, because the tokens come from any text at all."""

    def __missing__(self, token: str) -> str:
        if len(self) > _CACHE_LIMIT:
            self.clear()
            self.update(PIECES)
        pieces = self[token] = _pieces(token)
        return pieces


def _pieces(token: str) -> str:
    first = token[0]
    if first.isdecimal() or (first == "." and len(token) > 1):
        return _number_pieces(token)
    if first in RAISED:
        exponent = "".join(map(RAISED.__getitem__, token))
        return f"^ {exponent[0]} {exponent[1:]}".rstrip() if exponent[0] in "+-" else f"^ {exponent}"
    if first == "\\":
        return PIECES.get(token) or "".join(character for character in token if character not in "\\_{}")
    if token.endswith("n't"):
        return f"{token[:-3]} not".lstrip()
    word = token.replace("_{", "").replace("}", "").replace("_", "")
    if _FUNCTION_OF_NUMBER.fullmatch(word):
        return f"{word[:3]} {word[3:]}"
    return _BEHIND_INDEX.sub(" ", word)


def _number_pieces(token: str) -> str:
    """Thousands separators dropped, trailing zeros of the decimals dropped, ".5" spelled "0.5"."""
    for separator in ("{,}", "\\,", ","):
        token = token.replace(separator, "")
    mantissa, mark, exponent = token.partition("e")
    whole, _, decimals = mantissa.partition(".")
    decimals = decimals.rstrip("0")
    return (whole or "0") + (f".{decimals}" if decimals else "") + mark + exponent


_CANON = _Pieces(PIECES)


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
        return list(accumulate([len(piece) + 1 if piece else 0 for piece in self.pieces]))

    def part_ends(self) -> list[int]:
        """For each part its end in `text`; token i is part 2i + 1."""
        return list(accumulate(map(len, self.parts)))


def normalise(text: str, *, products: bool = False) -> NormalText:
    """Cut a text into tokens and their canonical pieces. Never raises; linear in the text's length.

    `products` writes out the product that a LaTeX fraction makes with what follows: "\\frac{1}{2} x" as `1 / 2 * x`, which as
    `1 / 2 x` could be read otherwise. An answer's value hangs on it; a match does not.

    >>> normalise("\\\\frac{12}{2} = 6").joined
    '12 / 2 = 6'
    """
    text = _flatten(text)
    if is_grouped(text):
        parts = _GROUP_TOKEN.split(text)
        return NormalText(text, parts, Groups(parts, list(map(_CANON.__getitem__, parts[1::2])), products).pieces)
    parts = _FAST_TOKEN.split(text)
    return NormalText(text, parts, list(map(_CANON.__getitem__, parts[1::2])))


def _flatten(text: str) -> str:
    """Lower case, one spelling a sign, markup blanked; the length never changes."""
    lower = text.lower()
    if len(lower) != len(text):  # a few capitals lower-case to two characters
        lower = "".join(character.lower() if len(character.lower()) == 1 else character for character in text)
    if not lower.isascii():
        lower = _THIN_THOUSANDS.sub(",", lower).translate(SIGNS)
    if "\\" in lower:
        lower = _FORMULA.sub(_formula, lower) if "}_" in lower else lower
        lower = _MARKUP.sub(_blank, _DEGREE.sub(_degree, lower))
    if "<" in lower:
        lower = _TAG.sub(_blank, lower)
    if "&" in lower:
        lower = _ALIGNMENT.sub(_blank, lower)
    if "**" in lower:
        lower = _POWER.sub("^ ", lower).replace("**", "  ")
    if "*" in lower:
        lower = _EMPHASIS.sub(" ", lower)
    if ":" in lower:
        lower = _COLON.sub(_blank, lower)
    if "x" in lower:
        lower = _X_BEFORE_NUMBER.sub(_times, lower)
    if not lower.isascii():
        lower = lower.translate(INDICES)  # only now: the "x" of "x\u2081x\u2082" does not multiply
    return _HYPHEN.sub(" ", _worded(lower)) if "-" in lower else _worded(lower)


def _worded(lower: str) -> str:
    """Operators that are written in several words, as their signs."""
    lower = _EQUAL_TO.sub(_sign("="), lower) if _MAY_EQUAL_TO.search(lower) else lower
    if "divided" in lower or "multiplied" in lower:
        lower = _BY.sub(_operator, lower)
    return _ROOT.sub(_sign("\u221a"), lower) if "root" in lower else lower


def _times(sign: re.Match[str]) -> str:
    before = sign.string[max(0, sign.start() - _MAX_BLANKS - 1) : sign.start()].rstrip(" \t")
    return "*" if before[-1:].isdecimal() else "x"


def _blank(markup: re.Match[str]) -> str:
    return " " * len(markup[0])


def _formula(markup: re.Match[str]) -> str:
    return "".join(filter(None, markup.groups())).ljust(len(markup[0]))


def _degree(markup: re.Match[str]) -> str:
    return "\u00b0".rjust(len(markup[0]))  # where the markup ends, so that a span takes all of it in


def _sign(sign: str) -> Callable[[re.Match[str]], str]:
    return lambda words: sign.ljust(len(words[0]))


def _operator(words: re.Match[str]) -> str:
    return ("/" if words[0].startswith("d") else "*").ljust(len(words[0]))
