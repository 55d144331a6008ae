"""Readers: a user's training file, record by record, in bounded memory.

Two spellings of the same thing are read: one JSON array (Mulberry-SFT, ShareGPT) and JSON lines. A reader never stops at a bad
record: it names the record's problem, keeps its text, and goes on with the next one. Only a file that cannot be one of the two at
all is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TextIO

from r1vl_core.config import Source
from r1vl_core.data.json_stream import Element, read_array, read_lines
from r1vl_core.records import RawRecord

_USER = ("user", "human")
_ASSISTANT = ("assistant", "gpt")
_SYSTEM = ("system",)


def read_records(source: Source) -> Iterator[RawRecord]:
    """The records of one source in the file's order; `row` counts from 0 and every malformed record has a row of its own.

    Raises ValueError (at the call, not at the first record) when the file or the image folder is missing or cannot be read, and
    when the file is neither a JSON array nor JSON lines.
    """
    check_source(source)
    return _records(source)


def check_source(source: Source) -> None:
    """Raises ValueError naming the source, the path and the cure when its file or its image folder is not there."""
    if not source.path.exists():
        raise ValueError(f"source {source.name}: {source.path}: no such file; set this source's `path` to its JSON or JSON lines file")
    if not source.path.is_file():
        raise ValueError(f"source {source.name}: {source.path} is not a file; set this source's `path` to its JSON or JSON lines file")
    if not source.images.is_dir():
        raise ValueError(f"source {source.name}: {source.images}: no such folder; set this source's `images` to the folder of its pictures")
    with _open(source) as file:
        _is_array(file, source)


def interpret(value: Any) -> tuple[str, str, tuple[str, ...]]:
    """User text, assistant text and image paths of one decoded record. Raises ValueError saying what is wrong with it.

    >>> interpret({"conversations": [{"from": "human", "value": "How many?"}, {"from": "gpt", "value": "### …"}], "images": "a.png"})
    ('How many?', '### …', ('a.png',))
    """
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, found {_kind(value)}")
    user, assistant = _turns(value)
    images = _images(value.get("images", value.get("image")))
    for name, text in (("the user's text", user), ("the assistant's text", assistant), *(("an image path", path) for path in images)):
        if not _is_unicode(text):
            raise ValueError(f"{name} holds half of a surrogate pair or bytes that are not UTF-8; save the file as UTF-8")
    return user, assistant, images


def _records(source: Source) -> Iterator[RawRecord]:
    with _open(source) as file:
        elements = read_array(file) if _is_array(file, source) else read_lines(file)
        for row, element in enumerate(elements):
            yield _record(source.name, row, element)


def _record(source: str, row: int, element: Element) -> RawRecord:
    raw = element.raw if _is_unicode(element.raw) else element.raw.encode("utf-8", "backslashreplace").decode("utf-8")
    if element.problem:
        return RawRecord(source, row, raw, problem=element.problem)
    try:
        user, assistant, images = interpret(element.value)
    except ValueError as error:
        return RawRecord(source, row, raw, problem=str(error))
    return RawRecord(source, row, raw, user, assistant, images)


def _open(source: Source) -> TextIO:
    # Bytes that are not UTF-8 become lone surrogates, which `interpret` names; one bad byte must not end the whole file.
    try:
        return source.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n")
    except OSError as error:
        raise ValueError(f"source {source.name}: {source.path}: cannot be read: {error.strerror}") from None


def _is_array(file: TextIO, source: Source) -> bool:
    """Tell an array from JSON lines by the name, else by the first character; leaves the file at its start."""
    where = f"source {source.name}: {source.path}"
    head = file.read(65_536)
    file.seek(0)
    for mark, cure in _NOT_TEXT:
        if head.startswith(mark):
            raise ValueError(f"{where} is {cure}")
    head = head.lstrip()
    if not head:
        raise ValueError(f"{where} is empty; a JSON array or JSON lines are expected")
    if source.path.suffix.lower() in (".jsonl", ".ndjson"):
        return False
    if head[0] not in "[{":
        raise ValueError(f"{where} is neither a JSON array nor JSON lines: it begins with {head[:20]!a}")
    return head[0] == "["


def _turns(record: dict[str, Any]) -> tuple[str, str]:
    key = "messages" if "messages" in record else "conversations"
    if key not in record:
        found = ", ".join(f"{name!a:.40}" for name in list(record)[:6]) or "nothing"
        raise ValueError(f"neither 'messages' nor 'conversations' in the record, which holds {found}")
    messages = record[key]
    if not isinstance(messages, list):
        raise ValueError(f"'{key}' is {_kind(messages)}; a list of messages is expected")
    turns = [turn for turn in (_turn(message, key) for message in messages) if turn[0] != "system"]
    roles = [role for role, _ in turns]
    if roles != ["user", "assistant"]:
        raise ValueError(f"expected one user and one assistant message, found {', '.join(roles[:6]) or 'none'}")
    return turns[0][1], turns[1][1]


def _turn(message: Any, key: str) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise ValueError(f"a message in '{key}' is {_kind(message)}; an object is expected")
    role = message.get("role", message.get("from"))
    text = message.get("content", message.get("value"))
    for known, names in (("user", _USER), ("assistant", _ASSISTANT), ("system", _SYSTEM)):
        if isinstance(role, str) and role.lower() in names:
            if not isinstance(text, str):
                raise ValueError(f"the {known} message's text is {_kind(text)}; a string is expected")
            return known, text
    raise ValueError(f"a message has the role {role!a:.40}; user, assistant or system is expected")


def _images(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    paths = [value] if isinstance(value, str) else value
    if not isinstance(paths, list):
        raise ValueError(f"'images' is {_kind(value)}; a path or a list of paths is expected")
    for path in paths:
        if not isinstance(path, str) or not path:
            raise ValueError(f"'images' holds {_kind(path) if path != '' else 'an empty path'}; paths are expected")
    return tuple(paths)


def _is_unicode(text: str) -> bool:
    return text.isascii() or not _SURROGATE.search(text)


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), type(value).__name__)


_NOT_TEXT = (
    ("\x1f\udc8b", "compressed with gzip; unpack it first"),
    ("PK\x03\x04", "a ZIP archive; unpack it first"),
    ("\udcff\udcfe", "in UTF-16; save it as UTF-8"),
    ("\udcfe\udcff", "in UTF-16; save it as UTF-8"),
)
"""How files begin that are no UTF-8 text, as `_open` decodes them."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "a truth value", int: "a number", float: "a number", type(None): "null"}
