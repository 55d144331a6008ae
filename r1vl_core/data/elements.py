"""One element of a source as it stands there, and the record it is."""

from __future__ import annotations

from typing import Any, NamedTuple

from r1vl_core.data.interpretation import Content, interpret, is_unicode
from r1vl_core.records import RawRecord


class Element(NamedTuple):
    """One element of the file: its text, and its decoded value, or what it says where that is known already, or its problem.

    >>> Element('{"id": 1}', {"id": 1}).problem is None
    True
    """

    raw: str
    value: Any = None
    problem: str | None = None
    content: Content | None = None


def record_of(source: str, row: int, element: Element) -> RawRecord:
    """An element as a record: what it says, or its problem."""
    if element.content is not None:
        return RawRecord(source, row, element.raw, *element.content)
    raw = element.raw if is_unicode(element.raw) else element.raw.encode("utf-8", "backslashreplace").decode("utf-8")
    if element.problem:
        return RawRecord(source, row, raw, problem=element.problem)
    try:
        return RawRecord(source, row, raw, *interpret(element.value))
    except ValueError as error:
        return RawRecord(source, row, raw, problem=str(error))
