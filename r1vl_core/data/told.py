"""What the steps of a reference path tell, line by line: without what cannot hold a key step, and all at once where it reads alike so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from r1vl_core.data.candidates import closes_groups, has_group, says_power, telling
from r1vl_core.reasoning.normal_form import NormalText

_MAX_LINE = 4000  # characters; a longer line is no step of reasoning
# What lists put before a line, "- ", "* ", "1) ", "(a) ", is no sign and no bracket of what it says.
# Behind its bracket no sign may follow, which would have "a) - 5" for an operand, nor another label.
_BULLET = re.compile(
    r"[ \t]*+(?:[-*+\u2013\u00b7][ \t]++|\(?(?:[0-9]{1,2}|[a-zA-Z])\)[ \t]++(?!(?:\$|\\[\[(]|\*\*|\s){1,9}[-+*/^=]))"
    r"(?=(?:\*\*)?+[^\s=*/^+-])(?!\(?[0-9a-zA-Z]{1,2}\))"
)
_TABLE_ROW = re.compile(r"[ \t]*+\|[ \t].*\|[ \t]*+")
# A line that begins with "=" goes on with the one before it; LaTeX parts rows by two backslashes, and one display from the next.
_GOES_ON = re.compile(r"(?<![\s&])\s++(?:(?:\\\[|\$\$)\s*+)?+(?:&++ ?)?+(?==(?!=))")
_DISPLAY_END = r"\\\\(?=\s)(?!\s*+=)|(?<=\$\$)\s*+(?=\$\$)|(?<=\\\])\s*+(?=\\\[)"
_LATEX_END, _LINE_END = re.compile(_DISPLAY_END), re.compile(rf"\n|{_DISPLAY_END}")
_GOES_ON_BELOW = re.compile(r"\n[\s&\[\\$]*+=")  # no less often than `_GOES_ON` is found over the end of a line
_LEFT_OUT = re.compile(r"\n(?:\.++\n)++")
_MAX_LEANING = 20  # characters
_LEANS_ON = ("root", "root of", "divided", "multiplied", "equal", "equals")  # what the next line begins with belongs to these


def tell(texts: Sequence[str]) -> str | None:
    """All that the steps tell in one text, their lines on lines of its own; None where one of them would not be read there as in its step.

    >>> tell(["Now we add. 5 + 7 = 12", "So both sides agree.", "It leaves 4"])
    '5 + 7 = 12. It leaves 4'
    """
    if max(map(len, texts), default=0) > _MAX_LINE or any(map(says_power, texts)):
        return None
    whole = ". ".join(texts)
    if _has_display_end(whole):
        return None
    if "\n" not in whole and not any(map(_BULLET.match, texts)):
        told = telling(whole)
    elif _GOES_ON_BELOW.search(whole) or ("|" in whole and any(map(_TABLE_ROW.fullmatch, whole.split("\n")))):
        return None
    else:
        steps = [text.split("\n") for text in texts]
        if any(line.rstrip()[-_MAX_LEANING:].lower().endswith(_LEANS_ON) for step in steps for line in step):
            return None
        told = _LEFT_OUT.sub(".\n", ".\n".join(["\n".join(map(_tell_line, step)) for step in steps]))
    return None if has_group(told) and not all(map(closes_groups, texts)) else told


def _tell_line(line: str) -> str:
    """A full stop stands for a line of words that is left out, so that nothing is said across it."""
    return line and (telling(_without_bullet(line)) or ".")


def tell_each(text: str) -> Iterator[str]:
    """What one step tells, in the lines that were meant: without bullets, a calculation over several of them as one, a table's cells
    apart."""
    if len(text) <= _MAX_LINE and "\n" not in text and ". " in text and not _has_display_end(text) and not has_group(text):
        yield telling(_without_bullet(text))
        return
    text = _GOES_ON.sub(_joined, text) if "=" in text and "\n" in text else text
    for line in _LINE_END.split(text):
        meant = line.replace("|", ";") if "|" in line and _TABLE_ROW.fullmatch(line) else _without_bullet(line)
        yield meant[:_MAX_LINE]


def lines_of(whole: NormalText) -> Iterator[NormalText]:
    """The lines of a text in normal form."""
    starts = [token for token, gap in enumerate(whole.parts[2:-1:2], 1) if "\n" in gap] if "\n" in whole.text else []
    if not starts:
        yield whole
        return
    for first, end in pairwise((0, *starts, len(whole.pieces))):
        yield NormalText("", whole.parts[2 * first : 2 * end + 1], whole.pieces[first:end])


def _has_display_end(text: str) -> bool:
    """Whether a row or a display of LaTeX ends within a text."""
    return ("\\\\" in text or "$$" in text or "\\]" in text) and _LATEX_END.search(text) is not None


def _joined(between: re.Match[str]) -> str:
    return " " if "\n" in between[0] else between[0]


def _without_bullet(line: str) -> str:
    bullet = _BULLET.match(line)
    return line[bullet.end() :] if bullet else line
