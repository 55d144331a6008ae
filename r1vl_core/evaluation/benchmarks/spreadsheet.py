"""What becomes of a text on the toolkit's way through pandas and a spreadsheet, where that changes a verdict.

The toolkit writes predictions to an xlsx file and reads them back, and reads benchmark files, with pandas' defaults: "None" and the empty
text become nan, a column of numbers becomes numbers, and in 2024 a text that starts with "=" becomes a formula, which reads back as 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from r1vl_core.evaluation.benchmarks.rulings import Cell, Version
from r1vl_core.reasoning.spellings import word_set

MISSING = word_set("#N/A #NA -1.#IND -1.#QNAN -NaN -nan 1.#IND 1.#QNAN <NA> N/A NA NULL NaN None n/a nan null") | {"", "#N/A N/A"}
"""Cell texts that pandas takes for no text at all."""

LONGEST_CELL = 32_767
"""Characters of a spreadsheet cell; what is longer is cut."""

LONGEST_LINK = 2_079
"""Characters of a spreadsheet's link; a longer text that starts like one is lost."""

_LINK = re.compile(r"(?:ftp|http)s?://")
_LINK_PREFIX = re.compile(r"mailto:|internal:|external:")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")
_WHOLE = re.compile(r"\s*-?[0-9]+\s*", re.ASCII)
_NUMBER = re.compile(r"\s*+[+-]?(?:(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?|inf|infinity)\s*+", re.ASCII | re.IGNORECASE)
_TRUTH: dict[Cell, bool] = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}


def is_missing(cell: Cell) -> bool:
    """Is it pandas' nan?"""
    return isinstance(cell, float) and math.isnan(cell)


def as_written(text: str, version: Version) -> Cell:
    """A prediction as its spreadsheet cell holds it: formulas, links, control characters, length.

    >>> as_written("=7", "paper"), as_written("=7", "current"), as_written("mailto:B", "paper")
    (0, '=7', 'B')
    """
    if version == "paper" and (text.startswith("=") or (text.startswith("{=") and text.endswith("}"))):
        return 0
    if _LINK.match(text) and len(text) > LONGEST_LINK:
        return ""
    text = _LINK_PREFIX.sub("", text, count=1) if _LINK_PREFIX.match(text) else text
    return _CONTROL.sub(lambda match: f"_x{ord(match[0]):04X}_", text[:LONGEST_CELL])


def as_read(column: Sequence[Cell]) -> list[Cell]:
    """A column as pandas reads it: missing texts become nan; when all others are numbers, or all truth values, they become those.

    >>> as_read(["7", "None", "1e3"]), as_read(["007", "3"]), as_read(["7", "seven"])
    ([7.0, nan, 1000.0], [7, 3], ['7', 'seven'])
    """
    present = [cell for cell in column if cell not in MISSING]
    if not present:
        return [math.nan for _ in column]
    if all(isinstance(cell, int) or (isinstance(cell, str) and _NUMBER.fullmatch(cell)) for cell in present):
        whole = len(present) == len(column) and all(isinstance(cell, int) or _is_whole(cell) for cell in present)
        return [math.nan if cell in MISSING else int(cell) if whole else float(cell) for cell in column]
    if all(cell in _TRUTH for cell in present):
        return [math.nan if cell in MISSING else _TRUTH[cell] for cell in column]
    return [math.nan if cell in MISSING else cell for cell in column]


def as_kept(column: Sequence[Cell]) -> list[Cell]:
    """A column that pandas read, after a spreadsheet: numbers come back whole when all of them are.

    >>> as_kept([7.0, 14.0]), as_kept([7.0, 0.5])
    ([7, 14], [7.0, 0.5])
    """
    whole = all(isinstance(cell, float) and cell.is_integer() for cell in column)
    return [int(cell) for cell in column] if whole else list(column)


def _is_whole(cell: Cell) -> bool:
    # Python refuses to read longer numbers, and so does nobody write them.
    return isinstance(cell, str) and len(cell) < 400 and _WHOLE.fullmatch(cell) is not None
