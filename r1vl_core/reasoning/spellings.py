"""Spellings: the one sign or piece that stands for each of the many that mean the same. Tables only; `normal_form` applies them."""

from __future__ import annotations

import unicodedata


def word_set(words: str) -> frozenset[str]:
    """The words of a text, for tables that are easier to read as one line than as a list."""
    return frozenset(words.split())


RAISED = {"\u00b2": "2", "\u00b3": "3", "\u00b9": "1", "\u2070": "0", "\u207a": "+", "\u207b": "-"}
RAISED |= {chr(0x2070 + digit): str(digit) for digit in range(4, 10)}
"""Superscript digits and signs; a run of them is one exponent."""

VULGAR = {sign: unicodedata.normalize("NFKC", sign).replace("\u2044", " / ") for sign in "½¼¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"}
"""One-character fractions, as pieces."""

_GREEK_NAMES = "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi chi psi omega"
_GREEK_LETTERS = "\u03b1\u03b2\u03b3\u03b4\u03b5\u03b6\u03b7\u03b8\u03ba\u03bb\u03bc\u03bd\u03be\u03c1\u03c3\u03c4\u03c6\u03c7\u03c8\u03c9"
GREEK = word_set(_GREEK_NAMES)
"""Small Greek letters, spelled out in normal form; \u03c0 is a number of its own."""

_GREEK = dict(zip(_GREEK_LETTERS, _GREEK_NAMES.split(), strict=True))
_GREEK |= {"\u03d5": "phi", "\\varphi": "phi", "\u03f5": "epsilon", "\\varepsilon": "epsilon", "\u03d1": "theta", "\\vartheta": "theta"}

_MATHEMATICAL = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0x1D400, 0x1D800)}  # bold, italic … letters and digits

SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2796\ufe63\uff0d", "-"),
        **dict.fromkeys("\u00d7\u00b7\u22c5\u2219\u2217\u2715\u2716\u2a2f\uff0a", "*"),
        **dict.fromkeys("\u00f7\u2215\u2044\u2797\uff0f", "/"),
        **dict.fromkeys("\u2795\ufe62", "+"),
        **dict.fromkeys(
            "\u00a0\u2009\u202f\u2007\u2002\u2003\u3000\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\ufeff\u00ad\ufe0f", " "
        ),
        **dict.fromkeys("\u2018\u2019\u02bc\u00b4", "'"),
        **dict.fromkeys("\u00ba\u02da", "\u00b0"),
        **{chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F) if code not in (0xFF0A, 0xFF0D, 0xFF0F)},
        **{chr(code): plain.lower() for code, plain in _MATHEMATICAL.items() if len(plain.lower()) == 1},
        "\u2236": ":",
        "\u00b5": "\u03bc",
        "\u2014": ",",
        "\u3001": ",",
        "\u3002": ".",
    }
)
"""Signs to the one we compare by: one character for one character, so that offsets stay true."""

INDICES = str.maketrans({chr(0x2080 + digit): str(digit) for digit in range(10)})
"""Digits set low, as in "H\u2082O"."""

PIECES = {
    **VULGAR,
    **dict.fromkeys(("is", "equals", "equal", "==", "\\equiv", "\u2261"), "="),
    **dict.fromkeys(("\\times", "\\cdot", "\\ast", "times"), "*"),
    **dict.fromkeys(("\\div", "\\over"), "/"),
    **dict.fromkeys(("\\%", "percent", "\\percent"), "%"),
    **dict.fromkeys(("degree", "degrees", "deg", "\\degree", "\\circ", "\u2218"), "\u00b0"),
    **dict.fromkeys(("\\pi", "pi"), "\u03c0"),
    **dict.fromkeys(("\\sqrt", "sqrt", "\u221a"), "\u221a"),
    **dict.fromkeys(("\\neq", "\\ne", "\u2260"), "!="),
    **dict.fromkeys(("\\leq", "\\le", "\\leqslant", "\u2264", "\u2a7d"), "<="),
    **dict.fromkeys(("\\geq", "\\ge", "\\geqslant", "\u2265", "\u2a7e"), ">="),
    **dict.fromkeys(("\\lt", "<"), "<"),
    **dict.fromkeys(("\\gt", ">"), ">"),
    **dict.fromkeys(("\\approx", "\u2248", "\\simeq"), "\u2248"),
    **dict.fromkeys(("\\rightarrow", "\\to", "\\implies", "=>", "->", "\u2192", "\u21d2"), "."),
    **dict.fromkeys(("\\therefore", "\u2234", "\\because", "\u2235", "\\dots", "\\ldots", "\u2026"), "."),
    **dict.fromkeys(("\\angle", "\u2220"), "angle"),
    **dict.fromkeys(("\\triangle", "\u25b3", "\u2206"), "triangle"),
    **dict.fromkeys(("\\parallel", "\u2225"), "\u2225"),
    **dict.fromkeys(("\\perp", "\u22a5"), "\u22a5"),
    **dict.fromkeys(("\\infty", "infinity", "inf"), "\u221e"),
    **dict.fromkeys(("\\emptyset", "\\varnothing"), "\u2205"),
    **dict.fromkeys(("isn't", "aren't"), "= not"),
    **dict.fromkeys(("\\in", "\u2208"), "in"),
    **dict.fromkeys(("\\cup", "\u222a"), "\u222a"),
    **dict.fromkeys(("\\cap", "\u2229"), "\u2229"),
    **dict.fromkeys(("\\subset", "\u2282"), "\u2282"),
    **dict.fromkeys(("\\subseteq", "\u2286"), "\u2286"),
    **dict.fromkeys(("\\cong", "\u2245"), "\u2245"),
    **dict.fromkeys(("\\sim", "\u223c"), "\u223c"),
    "can't": "can not",
    "cannot": "can not",
    "won't": "will not",
    "plus": "+",
    "minus": "-",
    "squared": "^ 2",
    "cubed": "^ 3",
    **dict.fromkeys(("\\pm", "+/-"), "\u00b1"),
    "\u221b": "\u221a [ 3 ]",
    "\u221c": "\u221a [ 4 ]",
    "bmatrix": "pmatrix",
    **dict.fromkeys(("\\lvert", "\\rvert", "\\vert"), "|"),
    "'": "",
    **_GREEK,
}
"""Tokens to their canonical pieces (blank-separated); a token that is not here is spelled as it stands, without LaTeX's backslash."""
