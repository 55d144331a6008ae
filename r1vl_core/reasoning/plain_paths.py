"""The plain majority of reasoning paths, told at a tenth of the cost of parsing them.

Nearly every reference path is written in one way: each header once, in order, at the start of its line, followed by prose. Such a path has
no defect, and its sections are what stands between the headers. Anything else is left to `paths.parse`, which agrees on every text that
is taken here (tests/core/reasoning/test_plain_paths.py).
"""

from __future__ import annotations

from typing import NamedTuple

from r1vl_core.reasoning.paths import is_blank, says_rethought

_HEADER = "\n###"  # faster to find than with its blank, which texts are full of
_DESCRIPTION = "### Image Description:"
_RATIONALE = " Rationales:"
_LEAD_IN = " Let's think step by step."
_ANSWER = " The final answer is:"


class PlainPath(NamedTuple):
    """What curation wants of a path without any defect.

    >>> PlainPath("a board", "add", "12").answer
    '12'
    """

    description: str
    rationale: str
    answer: str


def read_plain(text: str) -> PlainPath | None:
    """The parts of a path that is plainly valid and not reflective; None for any other text, valid or not."""
    first, *parts = text.split(_HEADER)
    if len(parts) < 4 or not first.startswith(_DESCRIPTION) or not _has_headers(text, len(parts) + 1):
        return None
    rationale, lead_in, *steps, answer = parts
    if lead_in.rstrip() != _LEAD_IN or not rationale.startswith(_RATIONALE) or not answer.startswith(_ANSWER):
        return None
    for number, step in enumerate(steps, 1):
        header = f" Step {number}:"
        if not step.startswith(header):
            return None
        # A letter or digit is what nearly every text begins with: the rest of it need not be looked at.
        begins = step[len(header) : len(header) + 2].lstrip()[:1]
        if not (begins.isascii() and begins.isalnum()) and is_blank(step[len(header) :].lstrip()):
            return None
    found = PlainPath(first[len(_DESCRIPTION) :].strip(), rationale[len(_RATIONALE) :].strip(), answer[len(_ANSWER) :].strip())
    return None if any(map(is_blank, found)) or says_rethought(text) else found


def _has_headers(text: str, number: int) -> bool:
    """Whether a text in which so many lines begin with "###" has it nowhere else."""
    # Single characters are counted some times faster than three.
    return text.count("#") == 3 * number or text.count("###") == number
