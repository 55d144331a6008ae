"""JSON as a user gives it for scoring: what is not quite JSON is named with its place and the cure, never guessed at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

MAX_LINE = 1 << 24
"""Bytes; a longer line is refused, so that a file without line ends cannot fill the memory."""


def json_lines(file: IO[bytes], name: str) -> Iterator[tuple[int, str, Any]]:
    """(its number, from 1, place, value) of every line that is not blank; the place is of file `name` and line. Raises ValueError."""
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        place = f"{name}, line {number}"
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            raise ValueError(f"{place}: more than {MAX_LINE} bytes; write one JSON object a line")
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield number, place, decode(line, place)


def decode(text: bytes, place: str) -> Any:
    """The one JSON value a text holds. Raises ValueError naming the place and the cure."""
    try:
        return json.loads(text.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise ValueError(f"{place}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: broken JSON: {error.msg} at character {error.pos}; write one whole JSON object a line") from None
    except RecursionError:
        raise ValueError(f"{place}: nested too deeply to be a record; write one flat JSON object a line") from None
    except ValueError as error:  # a number that JSON does not know or Python refuses, or a field given twice
        raise ValueError(f"{place}: {error}") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON; write a text, a number or null")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice!r:.80} is given twice; keep one")
    return table
