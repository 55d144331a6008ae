"""What stands around an answer and is no part of it: markup, quotes, "The answer is", a reason behind it, final punctuation."""

from __future__ import annotations

import re

from r1vl_core.reasoning.spellings import SIGNS

_WRAPPER = re.compile(r"\\(?:boxed|fbox|mbox|text(?:bf|it|rm|sf|tt)?|math(?:rm|bf|it|sf|tt))\s*+\{(.*)\}", re.DOTALL)
_LEAD_IN = re.compile(
    r"(?:(?:so|thus|hence|therefore|then|finally)\b,?\s*+)?+(?:(?:the|my|our)\s++)?+(?:(?:final|correct|right|best)\s++)*+"
    r"(?:answer|option|choice|result|solution)s?+\s*+(?:(?:is|are|was|would\s+be|must\s+be|should\s+be)\b\s*+:?+|:|=)\s*+"
    r"|(?:the\s++)?+(?:correct\s++)?+(?:option|choice|answer)\s++(?=[(\[]?[a-z](?![^\W_]))"
    r"|(?:so|thus|hence|therefore)\b,?\s*+(?:it\s++is\b\s*+)?+|(?:it|there|this|that)\s++(?:is|are|was|were)\b\s*+|it's\b\s*+"
    r"|(?:we|i|you)\s++(?:get|have|find|obtain|got|found|see|count)\b\s*+|(?:a\s++)?+total\s++of\b\s*+|exactly\b\s*+",
    re.IGNORECASE,
)
_TAIL = re.compile(r"(?<=\S)\s++is\s++(?:the\s++)?+(?:final\s++|correct\s++|right\s++)*+(?:answer|correct|right)\Z", re.IGNORECASE)
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
_DOLLAR = re.compile(r"(?:\b(?:US|U\.S\.) ?)?\\?\$(?= ?-?[0-9.])(?![^$]*+(?<![\s($])\$)|\\\$|(?<=[0-9])\$\Z")
_REASON = re.compile(
    r"(?<![\s,;.:(-])[\s,;.:(-]++(?:(?:this|that)\s++is\s++)?(?:because|since|explanation|reason|reasoning)\b", re.IGNORECASE
)


def clean(text: str) -> str:
    """Take off what stands around an answer. Signs get one spelling; case stays. Never raises; linear in the text's length."""
    text = text.strip()
    if not text.isascii():
        text = _DASH.sub("-", text).translate(_COMPATIBLE).translate(SIGNS).strip()
    for _ in range(_MAX_ROUNDS):
        before = text
        text = _unwrap(text)
        lead_in = _LEAD_IN.match(text)
        text = text[lead_in.end() :] if lead_in else text
        tail = _TAIL.search(text, max(0, len(text) - _TAIL_LENGTH))
        text = text[: tail.start()] if tail else text
        text = _without_final_punctuation(text).lstrip()
        if text == before:
            break
    return _DOLLAR.sub(" dollar ", text).strip() if "$" in text else text


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
