"""JSON records out of a text file, one at a time: an array or lines, with a name for everything that is broken.

The standard decoder is run on a window that slides over the file, so memory is bounded by one record and one chunk whatever the
file's size. After broken text the array reader goes on at the next place that looks like the beginning of a record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Protocol, TextIO

from r1vl_core.data.elements import Element

CHUNK_CHARS = 1 << 21
"""Characters read at a time."""

MAX_RECORD_CHARS = 1 << 23
"""Characters; a longer record is named broken, so that one missing bracket cannot pull a whole file into memory."""

KEPT_CHARS = 1 << 16
"""Characters kept of a broken stretch; the rest of it is described, not stored."""

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_EDGE = 16
# Keys that a record begins with. The objects inside a record begin with role, content, from, value: they never match.
_NEXT_RECORD = re.compile(r'\{\s*"(?:messages|conversations|images?|id|image_path|problem|key_steps|source|system)"\s*:')
_LONGEST_HEAD = 64


class Reads(Protocol):
    """What is asked of a text file: at most so many characters, none at its end."""

    def read(self, num_chars: int, /) -> str: ...


def read_array(file: TextIO) -> Iterator[Element]:
    """Elements of the one JSON array that the file holds. Broken text becomes elements with a problem; nothing is left out."""
    return read_elements(Window(file), from_start=True, may_stop=lambda: False)


def read_elements(window: Window, *, from_start: bool, may_stop: Callable[[], bool]) -> Iterator[Element]:
    """As `read_array`, from the array's bracket on (`from_start`) or from the place of an element.

    It ends early if, when it has stepped over a comma behind a whole record, nothing else is in the window and `may_stop` says so.
    """
    if from_start:
        window.expect("[")
    needs_comma = False
    while True:
        char = window.peek()
        if char == "":
            yield Element("", problem="the file ends inside the array; it was cut off")
            return
        if char == "]":
            break
        if char == ",":
            if not needs_comma:
                yield Element(",", problem="a comma without a record before it")
            window.expect(",")
            if needs_comma and window.is_used_up() and may_stop():
                return
            needs_comma = False
            continue
        element = _next_element(window)
        if needs_comma and element.problem is None:
            yield Element("", problem="no comma between two records")
        yield element
        # The stretch up to the next record, its comma included, belongs to a broken element.
        needs_comma = element.problem is None
        if element.problem and window.peek() == "":
            return
    window.expect("]")
    if window.peek():
        yield Element(window.rest(), problem="text after the end of the array")


def read_lines(file: TextIO, decode: Callable[[str], Element]) -> Iterator[Element]:
    """One element a line, decoded as `decode_line` does it; empty lines are skipped, a broken line is one element with a problem."""
    while line := file.readline(MAX_RECORD_CHARS):
        text = line.strip(" \t\r\n")
        if len(line) == MAX_RECORD_CHARS and not line.endswith("\n"):
            _skip_line(file)
            yield Element(_shortened(text), problem=f"a line of more than {MAX_RECORD_CHARS} characters")
        elif text:
            yield decode(text)


def decode_line(text: str) -> Element:
    """The element that a line holds."""
    try:
        value, end = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        return Element(_shortened(text), problem=f"{_broken(error, 0)}; each line holds one whole record")
    except (ValueError, RecursionError) as error:
        return Element(_shortened(text), problem=_undecodable(error))
    if end != len(text):
        return Element(_shortened(text), problem=f"broken JSON: text after the record, at character {end}")
    return Element(text, value)


def decode_at(text: str, at: int) -> tuple[Element | None, int]:
    """The element that begins at `at`, and where it ends; None where there is no whole one."""
    try:
        value, end = _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None, at
    return Element(text[at:end], value), end


def _next_element(window: Window) -> Element:
    while True:
        try:
            value, end = _DECODER.raw_decode(window.text, window.at)
        except json.JSONDecodeError as error:
            cut = error.msg.startswith("Unterminated string") or error.pos >= len(window.text) - _EDGE
            if cut and window.num_ahead < MAX_RECORD_CHARS and window.grow():
                continue
            problem = _broken(error, window.at)
            if window.num_ahead >= MAX_RECORD_CHARS and cut:
                problem = f"no end within {MAX_RECORD_CHARS} characters"
            return Element(window.skip_broken(), problem=problem)
        except (ValueError, RecursionError) as error:
            return Element(window.skip_broken(), problem=_undecodable(error))
        # A bare number or word that touches the edge may go on in the next chunk.
        if end + _EDGE > len(window.text) and not isinstance(value, dict | list | str) and window.grow():
            continue
        raw = window.text[window.at : end]
        window.at = end
        return Element(raw, value)


def _broken(error: json.JSONDecodeError, start: int) -> str:
    # Some of Python's messages end in "at" and wait for the place.
    return f"broken JSON: {error.msg.removesuffix(' at')} at character {error.pos - start} of the record"


def _undecodable(error: ValueError | RecursionError) -> str:
    # ValueError: a number of thousands of digits, which Python refuses to convert.
    return "nested too deeply" if isinstance(error, RecursionError) else "a number with too many digits"


def _shortened(text: str) -> str:
    return text if len(text) <= KEPT_CHARS else f"{text[:KEPT_CHARS]}… ({len(text)} characters)"


def _skip_line(file: TextIO) -> None:
    while (part := file.readline(CHUNK_CHARS)) and not part.endswith("\n"):
        pass


class Window:
    """The part of a file that is in memory: `text`, of which everything before `at` is done with."""

    def __init__(self, file: Reads) -> None:
        self._file = file
        self.text = ""
        self.at = 0

    @property
    def num_ahead(self) -> int:
        """Characters in memory that are not done with."""
        return len(self.text) - self.at

    def grow(self) -> bool:
        """Drop what is done with and read one chunk more; False at the end of the file."""
        chunk = self._file.read(CHUNK_CHARS)
        if not chunk:
            return False
        self.text, self.at = self.text[self.at :] + chunk, 0
        return True

    def peek(self) -> str:
        """The next character that is no space, or "" at the end; moves up to it."""
        while True:
            self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]  # matches nothing too
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.grow():
                return ""

    def is_used_up(self) -> bool:
        """Whether nothing but space is left in memory."""
        return _SPACE.fullmatch(self.text, self.at) is not None

    def expect(self, char: str) -> None:
        """Step over `char`, which the caller has seen."""
        found = self.peek()
        assert found == char, (found, char)
        self.at += 1

    def rest(self) -> str:
        """What is left of the file, shortened; reads to its end."""
        return self._take_until(None)

    def skip_broken(self) -> str:
        """Move to where the next record seems to begin, or to the end; what was passed over, shortened."""
        return self._take_until(_NEXT_RECORD)

    def _take_until(self, pattern: re.Pattern[str] | None) -> str:
        # The first character is passed over unseen: a broken record's own beginning is not the next one.
        kept, num_chars = self.text[self.at], 1
        self.at += 1
        while True:
            found = pattern.search(self.text, self.at) if pattern else None
            # A match at the very edge may begin in this chunk and end in the next: the tail stays for the next search.
            stop = found.start() if found else max(self.at, len(self.text) - _LONGEST_HEAD)
            kept += self.text[self.at : stop][: KEPT_CHARS - len(kept)]
            num_chars += stop - self.at
            self.at = stop
            if found:
                break
            if not self.grow():
                kept += self.text[self.at :][: KEPT_CHARS - len(kept)]
                num_chars += self.num_ahead
                self.at = len(self.text)
                break
        text = kept.rstrip(" \t\r\n,")
        return text if num_chars <= KEPT_CHARS else f"{text}… ({num_chars} characters)"
