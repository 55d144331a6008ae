"""Letters that look like others: a word spelled with letters of several alphabets reads as one thing and compares as another."""

from __future__ import annotations

import re

# Alphabets with letters shaped like Latin ones. Greek is left out as a whole: formulas write "πr" and "Δx"; its twins are listed.
_OTHER = r"\u0400-\u052f\u0530-\u058f\u13a0-\u13ff\ua4d0-\ua4ff\u1c80-\u1c8f"
_GREEK_TWINS = "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u03bd\u03f2\u03f3"
_FULL_WIDTH = r"\uff10-\uff19\uff21-\uff3a\uff41-\uff5a"
_MATHEMATICAL = r"\U0001d400-\U0001d7ff"
_INVISIBLE = r"\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u180e\u2061-\u2064\u202a-\u202e\u2066-\u2069"
_MIXED = re.compile(
    rf"[A-Za-z][{_OTHER}{_GREEK_TWINS}]|[{_OTHER}{_GREEK_TWINS}][A-Za-z]"
    rf"|[A-Za-z0-9][{_FULL_WIDTH}{_MATHEMATICAL}]|[{_FULL_WIDTH}{_MATHEMATICAL}][A-Za-z0-9]"
    rf"|(?<=\w)[{_INVISIBLE}]+(?=\w)"
)
_FULL_WIDTH_CHARACTER = re.compile(rf"[{_FULL_WIDTH}]")
_EAST_ASIAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def has_look_alikes(text: str) -> bool:
    """A word of two alphabets, an invisible character inside a word, or full-width letters and digits without East Asian text.

    >>> has_look_alikes("The r\\u0435d digit"), has_look_alikes("The red digit"), has_look_alikes("\\u03c0r\\u00b2 = \\u0394x")
    (True, False, False)
    """
    if text.isascii():
        return False
    if _MIXED.search(text):
        return True
    return bool(_FULL_WIDTH_CHARACTER.search(text)) and not _EAST_ASIAN.search(text)
