"""What the layout of a step adds to what it says: bullets, bars of tables, ends of lines within a calculation, rows of LaTeX.

Language models write their steps in Markdown and LaTeX; read as they stand, the "-" of a list is a minus sign. Everything here is linear.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from r1vl_core.data.candidates import closes_groups, has_group, says_power, telling

MAX_LINE = 4000
"""Characters; a longer line is no step of reasoning."""

_GOES_ON = ("root", "root of", "divided", "multiplied", "equal", "equals")  # normal form reads them together with the next line
_LEFT_OUT = re.compile(r"\n(?:\.++\n)++")

# What lists put before a line, "- ", "* ", "1) ", "(a) ", is no sign and no bracket of what it says.
_BULLET = re.compile(
    r"[ \t]*+(?:[-*+\u2013\u00b7][ \t]++|\(?(?:[0-9]{1,2}|[a-zA-Z])\)[ \t]++(?!(?:\$|\\[\[(]|\*\*|\s){1,9}[-+*/^=]))"
    r"(?=(?:\*\*)?+[^\s=*/^+-])(?!\(?[0-9a-zA-Z]{1,2}\))"
)
_TABLE_ROW = re.compile(r"[ \t]*+\|[ \t].*\|[ \t]*+")
# A line that begins with "=" goes on with the one before it.
_CONTINUED = re.compile(r"(?<![\s&])\s++(?:(?:\\\[|\$\$)\s*+)?+(?:&++ ?)?+(?==(?!=))")
# What the plain majority of texts has none of is told by patterns that begin with an end of a line, some times faster.
_MAY_CONTINUE = re.compile(r"\n[\s$&\\\[]{0,12}=")
_MAY_HAVE_LAYOUT = re.compile(r"\n[ \t]*+(?:[-*+|\u2013\u00b7]|\(?[0-9a-zA-Z]{1,2}\))")
# LaTeX parts rows by two backslashes, and one display from the next, where the text has no end of a line.
_ROW_END = re.compile(r"\\\\(?=[ \t])(?![ \t]*+&?+[ \t]*+=)|(?<=\$\$)[ \t]*+(?=\$\$)|(?<=\\\])[ \t]*+(?=\\\[)")


def as_meant(text: str) -> str:
    """A step without bullets and the bars of tables, and with calculations over several lines in one.

    >>> as_meant("So:\\n- 5 + 7\\n= 12")
    'So:\\n5 + 7 = 12'
    """
    if "\n" not in text:
        return _without_layout(text)
    text = _CONTINUED.sub(_joined, text) if _MAY_CONTINUE.search(text) else text
    if _MAY_HAVE_LAYOUT.search(text):
        return "\n".join(map(_without_layout, text.split("\n")))
    first, end, others = text.partition("\n")
    return _without_layout(first) + end + others


def rows_of(text: str) -> list[str]:
    """The lines of a text, and the rows within them."""
    return (_ROW_END.sub("\n", text) if _may_have_rows(text) else text).split("\n")


def told_by(texts: Sequence[str]) -> str | None:
    """All that the steps tell, in lines where they have any; None where in their midst it might be read otherwise than in its step."""
    if max(map(len, texts), default=0) > MAX_LINE or any(map(says_power, texts)):
        return None
    whole = ". ".join(texts)
    if _may_have_rows(whole) and _ROW_END.search(whole):
        return None
    if "\n" in whole:
        lines = [text.split("\n") for text in texts]
        if any(line.rstrip().lower().endswith(_GOES_ON) for of_step in lines for line in of_step):
            return None
        # A full stop stands for each line of words that is left out, so that nothing is said across it.
        told = ".\n".join(["\n".join([line and (telling(line) or ".") for line in of_step]) for of_step in lines])
        told = _LEFT_OUT.sub(".\n", told)
    else:
        told = telling(whole)
    return None if has_group(told) and not all(map(closes_groups, texts)) else told


def _may_have_rows(text: str) -> bool:
    return "\\\\" in text or "$$" in text or "\\]" in text


def _joined(between: re.Match[str]) -> str:
    return " " if "\n" in between[0] else between[0]


def _without_layout(line: str) -> str:
    if "|" in line and _TABLE_ROW.fullmatch(line):
        return line.replace("|", ";")
    bullet = _BULLET.match(line)
    return line[bullet.end() :] if bullet else line
