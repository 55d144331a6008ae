"""A response cut into its sections, and each section into runs of text that match key steps or do not.

The cutting happens here and not in the browser because Python counts characters and JavaScript counts UTF-16 units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from r1vl_core.reasoning import paths
from r1vl_core.reporting.data import Mark


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a response. `kind` is description, rationale, step, answer, header or stray; `label` is what a reader calls it.

    `runs` are the stretch's text in order, each with the numbers (from 0) of the key steps it belongs to.

    >>> Piece("step", "Step 1", (("6 / 3 = 2", (0,)), (".", ()))).label
    'Step 1'
    """

    kind: str
    label: str
    runs: tuple[tuple[str, tuple[int, ...]], ...]


def cut(text: str, marks: Sequence[Mark] = ()) -> tuple[Piece, ...]:
    """Cut a response so that the runs of all pieces, joined, are the response again, whatever it holds."""
    pieces: list[Piece] = []
    position = 0
    for kind, label, start, end in _sections(text):
        if start < position:
            continue
        pieces += _between(text, position, start, marks)
        pieces.append(Piece(kind, label, _runs(text, start, end, marks)))
        position = end
    pieces += _between(text, position, len(text), marks)
    return tuple(piece for piece in pieces if piece.runs)


def _sections(text: str) -> list[tuple[str, str, int, int]]:
    path = paths.parse(text)
    named = [("description", "Description", path.description), ("rationale", "Rationale", path.rationale)]
    named += [("step", f"Step {step.number}", step) for step in path.steps]
    named += [("answer", "Answer", path.answer)]
    found = [(kind, label, section.start, section.end) for kind, label, section in named if section is not None]
    return sorted(found, key=lambda section: section[2])


def _between(text: str, start: int, end: int, marks: Sequence[Mark]) -> list[Piece]:
    """What no section claims: header lines, and stray text that stands where the grammar has no place for it."""
    pieces, position = [], start
    for is_header, lines in groupby(text[start:end].splitlines(keepends=True), key=_is_header_line):
        stretch = position + sum(map(len, lines))
        pieces.append(Piece("header" if is_header else "stray", "", _runs(text, position, stretch, marks)))
        position = stretch
    return pieces


def _is_header_line(line: str) -> bool:
    # A blank line belongs to no text of its own.
    return line.lstrip().startswith(("#", "**#", "__#")) or not line.strip()


def _runs(text: str, start: int, end: int, marks: Sequence[Mark]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    inside = [mark for mark in marks if mark.start < end and mark.end > start]
    edges = {start, end, *(min(max(edge, start), end) for mark in inside for edge in (mark.start, mark.end))}
    ordered = sorted(edges)
    runs = []
    for low, high in pairwise(ordered):
        matched = sorted({mark.key_step for mark in inside if mark.start <= low and mark.end >= high})
        runs.append((text[low:high], tuple(matched)))
    return tuple(runs)
