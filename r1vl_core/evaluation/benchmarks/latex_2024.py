"""LaTeX as the toolkit's parser of 2024 (latex2sympy2 1.9.1) reads it, as far as it has a value that Python can compute.

That parser reads as far as it understands and leaves the rest ("7 \\\\ 8" and "7." are 7), takes "x = 7" for 7, multiplies what stands
side by side (2\\frac{1}{2} is 1), and keeps roots, logarithms and all names symbolic. The toolkit then has Python compute what the result
is printed as, so that only arithmetic has a value: here a text becomes the Python expression that would be printed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from r1vl_core.evaluation.benchmarks import arithmetic
from r1vl_core.reasoning.spellings import word_set

_MAX_DEPTH = 40
_CHOSEN_ONE = 1
_MOST_CHOSEN = 1_000
_MOST_BITS = 14_000  # Python spells no number of more than 4,300 digits
_BLANKS = re.compile(r"\\quad|\\displaystyle|~|\\,|\$")
_FRACTIONS = re.compile(r"\\[dt]frac")
_UPRIGHT_D = re.compile(r"\\mathrm\{d\}|\{\\rm d\}")
_PERMUTATION = re.compile(r"\(([a-zA-Z0-9+\-*/\\ ]+?)\)_\{([a-zA-Z0-9+\-*/\\ ]+?)\}")
_TOKEN = re.compile(
    r"[ \t\r\n]*(?:"
    r"(?P<percent>(?:[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?|(?:,[0-9]{3})*\.[0-9]+)\\%)"
    r"|(?P<number>[0-9]*(?:,[0-9]{3})*\.[0-9]+|[0-9]+(?:,[0-9]{3})*)"
    r"|(?P<name>d[ \t\r\n]*(?:[a-zA-Z]|\\[a-zA-Z]+)|[a-zA-Z])"
    r"|(?P<mark>\\[a-zA-Z]+|\\[{}\\]|==|[-+*/^_(){}\[\]:;,.=<>!|'&])"
    r"|(?P<end>\Z))"
)
_ACCENTS = word_set(
    "acute bar overline breve check widecheck dot ddot grave hat tilde widetilde vec overrightarrow bm boldsymbol text textit mathbb "
    "mathbin mathbf mathcal mathclap mathclose mathellipsis mathfrak mathinner mathnormal mathop mathopen mathord mathpunct mathrel "
    "mathring mathrlap mathrm mathscr mathsf mathsterling mathtt mathit"
)
_GREEK = word_set(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho varrho sigma varsigma tau upsilon "
    "phi varphi chi psi omega"
)
_CLOSING = {"(": ")", "{": "}", "[": "]", "\\{": "\\}", "\\lbrace": "\\rbrace", "\\lbrack": "\\rbrack", "\\lgroup": "\\rgroup"}
_PRODUCTS = {"*": "*", "\\times": "*", "\\cdot": "*", "/": "/", "\\div": "/", ":": "/"}
_RELATIONS = {"<": "<", ">": ">", "\\le": "<=", "\\leq": "<=", "\\leqslant": "<=", "\\ge": ">=", "\\geq": ">=", "\\geqslant": ">="}
# What may follow a whole expression: the parser stops before it.
_STOPS = frozenset(["", ")", "]", "}", "\\}", "\\rbrace", "\\rbrack", "\\rgroup", "\\right", "\\\\", "&", "_", ".", "\\to", "\\rightarrow"])
_NAME = "symbol"


class NoValueError(ValueError):
    """A text that the parser refuses, or whose result Python cannot compute."""


class _Term(NamedTuple):
    """A Python expression, and whether it is one symbol, which "=" gives a value."""

    text: str
    is_symbol: bool = False


def python_expression(latex: str) -> str:
    """The arithmetic that a LaTeX text is, in Python; names other than a and b are all spelled "symbol". Raises NoValueError.

    >>> python_expression("x = \\\\frac{1}{2}"), python_expression("2^{3} cm")
    ('((1)/(2))', '((2)**(3))*symbol*symbol')
    """
    latex = _PERMUTATION.sub(r"\\frac{(\1)!}{((\1)-(\2))!}", latex)
    return _Parser(_UPRIGHT_D.sub("d", _BLANKS.sub(" ", _FRACTIONS.sub(r"\\frac", latex)))).whole()


class _Parser:
    """Recursive descent over tokens that are read one ahead: what lies further on may be anything."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.depth = 0
        self.kind, self.token = "", ""
        self.advance()

    def advance(self) -> str:
        """Go one token on and give back the one that was read."""
        was = self.token
        found = _TOKEN.match(self.text, self.place)
        if found is None:
            raise NoValueError(self.text[self.place :][:80])
        self.kind = found.lastgroup or ""
        self.token = found[self.kind]
        self.place = found.end()
        return was

    def expect(self, token: str) -> None:
        if self.token != token:
            raise NoValueError(f"{token} expected")
        self.advance()

    def whole(self) -> str:
        term = self.relation()
        if self.token not in _STOPS:
            raise NoValueError(f"{self.token} after the expression")  # a list, half a relation, or what cannot be read
        return term.text

    def relation(self) -> _Term:
        left = self.sum()
        while self.token == "=" or self.token in _RELATIONS:
            sign = self.advance()
            if sign == "=" and not left.is_symbol:
                raise NoValueError("an equation")
            right = self.sum()
            left = right if sign == "=" else _Term(f"({left.text} {_RELATIONS[sign]} {right.text})")
        return left

    def sum(self) -> _Term:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise NoValueError("nested too deeply")
        left = self.product()
        while self.token in ("+", "-"):
            sign = self.advance()
            left = _Term(f"({left.text} {sign} {self.product().text})")
        self.depth -= 1
        return left

    def product(self) -> _Term:
        left = self.signed()
        while self.token in _PRODUCTS:
            sign = _PRODUCTS[self.advance()]
            left = _Term(f"({left.text}){sign}({self.signed().text})")
        return left

    def signed(self) -> _Term:
        signs = ""
        while self.token in ("+", "-"):
            signs += self.advance()
        term = self.side_by_side()
        return _Term(f"({'-' if signs.count('-') % 2 else ''}{term.text})", term.is_symbol and "-" not in signs) if signs else term

    def side_by_side(self) -> _Term:
        terms = [self.power()]
        while self.starts_factor():
            terms.append(self.power())
        return terms[0] if len(terms) == 1 else _Term("*".join(term.text for term in terms))

    def starts_factor(self) -> bool:
        return self.kind in ("number", "percent", "name") or (
            self.token in _CLOSING or self.token[1:] in _ACCENTS | _GREEK | _COMMANDS.keys() or self.token == "\\left"
        )

    def power(self) -> _Term:
        base = self.factor()
        while self.token == "^":
            self.advance()
            base = self.raised(base)
            if self.token == "_":
                self.subscript()
        while self.token == "'":
            self.advance()
        return base

    def raised(self, base: _Term) -> _Term:
        if self.token == "{":
            self.advance()
            exponent = self.sum()
            self.expect("}")
        elif self.kind in ("number", "name", "percent"):
            exponent = self.factor()
        else:
            raise NoValueError(f"{self.token} as exponent")
        if exponent.text in ("(1/2)", "(-(1/2))"):
            raise NoValueError("a square root")  # 0.5 is the half that sympy prints as sqrt; 1/2 is not
        return _Term(f"(({base.text})**({exponent.text}))")

    def subscript(self) -> None:
        self.advance()
        if self.token == "{":
            self.advance()
            self.sum()
            self.expect("}")
        elif self.kind in ("number", "name", "percent"):
            self.advance()
        else:
            raise NoValueError(f"{self.token} as subscript")

    def factor(self) -> _Term:
        if self.kind in ("number", "percent"):
            return _Term(_number(self.advance()))
        if self.kind == "name" or self.token[1:] in _GREEK:
            return self.symbol(self.advance())
        if self.token == "\\left" or self.token in _CLOSING:
            return self.group()
        command = self.advance()[1:]
        if command in _ACCENTS:
            self.braced()
            return self.symbol("")
        if command in _COMMANDS:
            return _Term(_COMMANDS[command](self))
        raise NoValueError(command)

    def symbol(self, name: str) -> _Term:
        if name == "e":
            return _Term(self.exponential())
        plain = name in ("a", "b")
        if self.token == "_":
            plain = False
            self.subscript()
        if self.token == "(":
            raise NoValueError("a function")
        if self.token == "'":
            plain = False  # a' is another name
        return _Term(name if plain else _NAME, is_symbol=True)

    def exponential(self) -> str:
        """A power of e; the one that has a value is e^0."""
        if self.token != "^":
            return _NAME
        self.advance()
        exponent = self.braced() if self.token == "{" else self.factor().text
        return "1" if exponent == "0" else _NAME

    def group(self) -> _Term:
        left = self.token == "\\left"
        if left:
            self.advance()
        if self.token not in _CLOSING:
            raise NoValueError(f"{self.token} as bracket")
        opening = self.advance()
        term = self.sum()
        if opening == "{" and self.token == "\\choose":
            self.advance()
            term = _Term(_choose(term.text, self.sum().text))
        if left:
            self.expect("\\right")
        self.expect(_CLOSING[opening])
        return term

    def braced(self) -> str:
        self.expect("{")
        term = self.sum()
        self.expect("}")
        return term.text

    def fraction(self) -> str:
        return f"(({self.braced()})/({self.braced()}))"

    def root(self) -> str:
        if self.token != "[":
            raise NoValueError("a square root")
        self.advance()
        degree = self.sum().text
        self.expect("]")
        if _whole(degree) in (2, -2):
            raise NoValueError("a square root")
        return f"(({self.braced()})**(1/({degree})))"

    def binomial(self) -> str:
        return _choose(self.braced(), self.braced())

    def arguments(self) -> list[int]:
        self.expect("(")
        found = [_whole(self.sum().text)]
        while self.token == ",":
            self.advance()
            found.append(_whole(self.sum().text))
        self.expect(")")
        return found


_COMMANDS: dict[str, Callable[[_Parser], str]] = {
    "frac": _Parser.fraction,
    "sqrt": _Parser.root,
    "binom": _Parser.binomial,
    "gcd": lambda parser: str(math.gcd(*parser.arguments())),
    "lcm": lambda parser: str(math.lcm(*parser.arguments())),
}


def _number(token: str) -> str:
    """A number as the fraction that sympy holds: 0.5 is 1/2."""
    number = Fraction(token.removesuffix("\\%").replace(",", "")) / (100 if token.endswith("\\%") else 1)
    return str(number) if number.denominator == 1 else f"({number})"


def _whole(text: str) -> int:
    try:
        value = arithmetic.value(text)
    except arithmetic.NotArithmeticError:
        raise NoValueError(text[:80]) from None
    if not isinstance(value, int | float) or (isinstance(value, float) and not value.is_integer()) or int(value).bit_length() > _MOST_BITS:
        raise NoValueError(f"{text[:80]} is no whole number")
    return int(value)


def _choose(above: str, below: str) -> str:
    """A binomial coefficient as sympy computes it: of any number, and of a name where it is 0, 1 or the name itself."""
    count = _whole(below)
    if count < _CHOSEN_ONE:
        return "1" if count == 0 else "0"
    if count == _CHOSEN_ONE:
        return f"({above})"
    if count > _MOST_CHOSEN:
        raise NoValueError("binomial")
    try:
        value = arithmetic.value(above)
    except arithmetic.NotArithmeticError:
        raise NoValueError(above[:80]) from None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise NoValueError(above[:80])
    if isinstance(value, int):
        if value.bit_length() * count > _MOST_BITS:
            raise NoValueError("binomial")
        return str(math.comb(value, count) if value >= 0 else (-1) ** count * math.comb(count - value - 1, count))
    return f"({math.prod((value - place) / (place + 1) for place in range(count))!r})"
