"""Does a prediction say yes or no? The toolkit's extractor, in its two states, which part over full stops alone."""

from __future__ import annotations

import re

from r1vl_core.evaluation.benchmarks.rulings import Version

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_THOUSANDS = re.compile(r"\d,\d")
_STOPS: dict[Version, re.Pattern[str]] = {
    # 2024's look-behind is misspelt: it lets a full stop after a digit go too.
    "paper": re.compile(r"\.(?!\d)"),
    "current": re.compile(r"(?<!\d)\.(?!\d)"),
}
_MAX_STOPS = 32
"""Full stops that are deleted: a flag stands where the toolkit should give a count, and its value is 32."""


def yes_or_no(prediction: str, version: Version) -> str | None:
    """ "Yes" or "No" when exactly one of the two is among the words, else None.

    >>> yes_or_no("No-way!", "paper"), yes_or_no("**No**", "paper"), yes_or_no("yes and no", "current")
    ('No', None, None)
    """
    said = prediction.lower()
    words = _without_marks(said, version).split()
    if ("yes" in words) == ("no" in words):
        return None
    return "Yes" if "yes" in words else "No"


def _without_marks(text: str, version: Version) -> str:
    """Each mark is deleted when it stands next to a blank anywhere (or the text has a thousands comma), else it becomes a blank."""
    thousands = _THOUSANDS.search(text) is not None
    table = {ord(mark): "" if thousands or f"{mark} " in text or f" {mark}" in text else " " for mark in _MARKS}
    return _STOPS[version].sub("", text.translate(table), count=_MAX_STOPS)
