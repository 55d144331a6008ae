"""What stands around an answer and is no part of it: markup, quotes, "The answer is", a reason behind it, final punctuation."""

from __future__ import annotations

import re
import unicodedata

from r1vl_core.reasoning.spellings import SIGNS

_WRAPPER = re.compile(r"\\(?:boxed|fbox|mbox|text(?:bf|it|rm|sf|tt)?|math(?:rm|bf|it|sf|tt))\s*+\{(.*)\}", re.DOTALL)
_LEAD_IN = re.compile(
    r"(?:(?:so|thus|hence|therefore|then|finally)\b,?\s*+)?+(?:(?:the|my|our)\s++)?+(?:(?:final|correct|right|best)\s++)*+"
    r"(?:answer|option|choice|result|solution)s?+\s*+(?:(?:is|are|was|would\s+be|must\s+be|should\s+be)\b\s*+:?+|:|=)\s*+"
    r"|(?:the\s++)?+(?:correct\s++)?+(?:option|choice|answer)\s++(?=[(\[]?[a-z](?![^\W_]))"
    r"|(?:so|thus|hence|therefore)\b,?\s*+(?:it\s++is\b\s*+)?+|(?:it|there|this|that|they|these|those)\s++(?:is|are|was|were)\b\s*+"
    r"|(?:it|this|that)\s++(?:would|must|should|will)\s++be\b\s*+|(?:it|that)'s\b\s*+|(?:it|they)\s++(?=[a-z]{3})|(?:only|just)\s++(?=\S)|statements?+\s++(?=[IVX]++\b)|points?+\s++(?=[a-z](?![^\W_]))"
    r"|(?:we|i|you)\s++(?:get|have|find|obtain|got|found|see|count)\b\s*+|(?:a\s++)?+total\s++of\b\s*+|exactly\b\s*+",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"(?<=\S)\s++(?:is\s++(?:the\s++)?+(?:final\s++|correct\s++|right\s++)*+(?:answer|correct|right)|only|of\s++(?:them|these|those))\Z",
    re.IGNORECASE,
)
# Symbols of units that small letters would make a variable, behind a number: "9.8 N" is newtons, "9.8 n" a product.
_SYMBOL = re.compile(r"(?<=[0-9])(?:(?:\s|\\[,;:! ]|~|\\(?:text|mathrm)\s*+\{)++([mkMG]?[NJWVA]|K)|([mkMG]?[NJWV]))\}?+(?=\Z|\s++[a-z]{2})")
_PREFIXES = {"m": "milli", "k": "kilo", "M": "mega", "G": "giga", "": ""}
_SYMBOLS = {"N": "newtons", "J": "joules", "W": "watts", "V": "volts", "A": "amperes", "K": "kelvins"}
_ORDINAL_WORDS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
)
_ORDINALS = tuple(_ORDINAL_WORDS.split())
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATE = re.compile(
    rf"(?<![\w.,])([0-9]{{1,2}}+)(?:st|nd|rd|th)?(?:\s++of)?\s++({_MONTHS})\b|\b({_MONTHS})\s++([0-9]{{1,2}}+)(?:st|nd|rd|th)?(?![\w.])"
)
_FEET_AND_INCHES = re.compile(r"""(?<=[0-9])['\u2032]\s?+([0-9.]++)(?:"|''|\u2033)\Z""")
_INCHES, _FEET = re.compile(r"""(?<=[0-9])\s?+(?:"|''|\u2033)\Z"""), re.compile(r"(?<=[0-9])\s?+['\u2032]\Z")
_PRIMES = ("'", '"', "\u2032", "\u2033")
_ORDINAL = re.compile(r"(?<![\w.,])([0-9]{1,2}+)(?:st|nd|rd|th)\b")
_OVER = re.compile(r"(?<=[0-9)}i\u03c0])\s++over\s++(?=[0-9(\\\u221a\u03c0])", re.IGNORECASE)  # "pi over 4"
_PH = re.compile(r"(?:the\s++)?+\bpH\s*+(?:(?:value\s++)?+(?:of|is|=|:)\s*+)?+(?=[0-9])")
_PAIRS = (
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("**", "**"),
    ("__", "__"),
    ("*", "*"),
    ("_", "_"),
    ('"', '"'),
    ("'", "'"),
    ("```", "```"),
    ("`", "`"),
    ("\u201c", "\u201d"),
    ("<answer>", "</answer>"),
)
# A rule below the answer, a tick, or the end token of a chat template.
_ENDING = re.compile(
    r"(?:\n\s*+(?:-{3,}+|\*{3,}+|_{3,}+|={3,}+)|<\|[a-z_]{1,20}+\|>|</s>|\s*+</think>|\s*+[\u2713\u2714\u2705\u2611])\Z", re.IGNORECASE
)
_ENDING_LENGTH = 200
_TICKS = "\u2713\u2714\u2705\u2611 "
_PLACE = re.compile(
    r"(?:in\s++)?+(?:the\s++)?+year\s*+:?+\s*+(?=[0-9])|in\s++(?=[12][0-9]{3}\Z)|at\s++(?=1?[0-9](?::[0-9]|\s?[ap]\.?m))",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"(?<![\w.,:])(1?[0-9])(:[0-9]{2})?\s?([ap])(?:m|\.\s?m\.?)(?!\w)", re.IGNORECASE)
_MEASURES = re.compile(r"(?<=\w)\s++(?:measures|shows|reads|displays)\s++(?=[0-9])", re.IGNORECASE)
_RAISED = re.compile(r"<sup>([0-9]{1,3})</sup>", re.IGNORECASE)
_MAX_ROUNDS = 8
_TAIL_LENGTH = 60
# Signs that are several characters in plain writing.
_COMPATIBLE = str.maketrans(
    {
        "\u2103": "\u00b0C",
        "\u2109": "\u00b0F",
        "\u339c": "mm",
        "\u339d": "cm",
        "\u339e": "km",
        "\u33a0": "cm^2",
        "\u33a1": "m^2",
        "\u33a5": "m^3",
        "\u338f": "kg",
    }
)
_DASH = re.compile(r"(?:(?<![^\s(\[])|(?<=[0-9]))\u2014(?= ?[0-9])")
# A dollar sign is money where a number follows and no closing sign of a formula comes next, and behind a number at the end.
_DOLLAR = re.compile(r"(?:\b(?:US|U\.S\.) ?)?\\?\$(?= ?-?[0-9.])(?![^$]*+(?<![\s($])\$)|\\\$")
_DOLLARS_BEHIND = re.compile(r"\A[^$]*+(?<=[0-9])(\$)\Z")  # where the sign is no formula's end
_REASON = re.compile(
    r"(?<![\s,;.:(\[*-])[\s,;.:(\[*-]++(?:(?:this|that)\s++is\s++)?(?:because|since|explanation|reason|reasoning)\b|,\s++as\s++(?=\S)",
    re.IGNORECASE,
)


def clean(text: str) -> str:
    """Take off what stands around an answer. Signs get one spelling; case stays. Never raises; linear in the text's length."""
    text = text.strip()
    if not text.isascii():
        text = _DASH.sub("-", text).translate(_COMPATIBLE).translate(SIGNS).strip()
        text = unicodedata.normalize("NFC", text)
    for _ in range(_MAX_ROUNDS):
        before = text
        text = _without_stray_bracket(_without_ending(_unwrap(text)))
        lead_in = _LEAD_IN.match(text)
        text = text[lead_in.end() :] if lead_in else text
        place = _PLACE.match(text)
        text = text[place.end() :] if place else text
        tail = _TAIL.search(text, max(0, len(text) - _TAIL_LENGTH))
        text = text[: tail.start()] if tail else text
        text = _without_final_punctuation(text).lstrip()
        if text == before:
            break
    text = _MEASURES.sub(" is ", text) if "s" in text else text
    text = _RAISED.sub(r"^\1", text) if "<" in text else text
    text = _PH.sub("pH = ", text) if "pH" in text else text
    text = _OVER.sub(" / ", text) if "over" in text else text
    text = _SYMBOL.sub(_unit_name, text)
    text = _ORDINAL.sub(_ordinal, _DATE.sub(lambda date: f"{date[2] or date[3]} {date[1] or date[4]}", text))
    if text[-1:] in _PRIMES:
        text = _FEET.sub(" ft", _INCHES.sub(" in", _FEET_AND_INCHES.sub(r" ft \1 in", text)))
    text = _CLOCK.sub(lambda time: f"{time[1]}{time[2] or ':00'} {time[3]}m", text) if "m" in text or "M" in text else text
    if "$" in text:
        text = f"{text[:-1]} dollar" if _DOLLARS_BEHIND.match(text) else _DOLLAR.sub(" dollar ", text).strip()
    return text


def _ordinal(number: re.Match[str]) -> str:
    return _ORDINALS[int(number[1]) - 1] if 1 <= int(number[1]) <= len(_ORDINALS) else number[0]


def _unit_name(symbol: re.Match[str]) -> str:
    found = symbol[1] or symbol[2]
    return f" {_PREFIXES[found[:-1]]}{_SYMBOLS[found[-1]]}"


def without_lead_in(text: str) -> str:
    """An answer behind its first "The answer is" or the like; the text itself where it has none."""
    lead_in = _LEAD_IN.match(text.lstrip())
    return text.lstrip()[lead_in.end() :] if lead_in else text


def without_reason(text: str) -> str:
    """An answer up to its "because": what it says before it argues. The text itself when it does not argue."""
    reason = _REASON.search(text)
    return text[: reason.start()] if reason else text


def _unwrap(text: str) -> str:
    for opening, closing in _PAIRS:
        inner = text[len(opening) : len(text) - len(closing)]
        if text.startswith(opening) and text.endswith(closing) and len(text) >= len(opening) + len(closing):
            if opening == "$" and "$" in inner:
                continue  # two formulas, or two amounts
            text = inner.strip()
    if text.startswith("**") and "**" in text[2:]:  # a bold beginning: "**Answer:** 42"
        bold, _, rest = text[2:].partition("**")
        text = f"{bold} {rest.lstrip()}" if rest[:1].isspace() else bold + rest
    wrapped = _WRAPPER.fullmatch(text)
    return wrapped[1].strip() if wrapped and _is_one_group(wrapped[1]) else text


def _without_ending(text: str) -> str:
    """What is drawn around an answer and says nothing of it; an answer of nothing else stays."""
    ending = _ENDING.search(text, max(0, len(text) - _ENDING_LENGTH))
    shorter = (text[: ending.start()] if ending else text).lstrip(_TICKS).rstrip()
    return shorter or text


def _without_stray_bracket(text: str) -> str:
    """A bracket at the end that was never opened, or at the beginning that never closes: "12)" is "12", the interval "[1, 5)" stays."""
    if text[-1:] not in (")", "]", "}") and text.lstrip("\\")[:1] not in ("(", "[", "{"):
        return text
    surplus = sum(map(text.count, "([{")) - sum(map(text.count, ")]}"))
    if surplus < 0 and text[-1] in ")]}":
        shorter = text[:-1].removesuffix("\\").rstrip()
    elif surplus > 0 and text.lstrip("\\")[0] in "([{":
        shorter = text.lstrip("\\")[1:].lstrip()
    else:
        return text
    return shorter or text


def _is_one_group(inside: str) -> bool:
    """Does the first brace close only at the end? Not in "\\text{3} or \\text{4}"."""
    depth = 0
    for character in inside:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return True


def _without_final_punctuation(text: str) -> str:
    """The "!" behind a number or a bracket is a factorial and stays."""
    while text:
        shorter = text.rstrip(" \t\r\n.;,?")
        if shorter.endswith("!") and not (shorter[:-1].rstrip("!")[-1:].isdecimal() or shorter[:-1].endswith(")")):
            shorter = shorter.rstrip("!")
        if shorter == text:
            break
        text = shorter
    return text
