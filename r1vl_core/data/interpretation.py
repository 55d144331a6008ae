"""One decoded record, taken apart: who asks what about which pictures, and what is given as the answer.

Three spellings are known, by the record's own keys: Mulberry-SFT / ShareGPT (messages or conversations), R1-VL-10K (problem, solution,
key_steps) and our own (question, answer, reference_path, choices, key_steps).
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from r1vl_core.data.scoring import read_choices, read_key_steps
from r1vl_core.data.wording import IMAGE_PLACEHOLDER
from r1vl_core.reasoning.paths import parse

_ROLES = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "system": "system"}
_IMAGE_KEYS = ("images", "image", "image_path")
_SPELLINGS = ("messages", "conversations", "problem", "question")
"""The field that says how a record is spelled, the first that is there."""


class Content(NamedTuple):
    """What a record says. `answer` is the record's own, "" where only its path gives one; an empty `assistant` means that there is no
    path; `choices` None means that they are to be looked for in the user's text; `source_id` is the record's own id, if it has one.

    >>> Content("How many?", "### …", ("a.png",)).answer
    ''
    """

    user: str
    assistant: str
    images: tuple[str, ...]
    answer: str = ""
    key_steps: tuple[tuple[str, ...], ...] = ()
    choices: tuple[tuple[str, str], ...] | None = None
    source_id: str | None = None


def interpret(value: Any) -> Content:
    """What one decoded record says. Raises ValueError saying what is wrong with it.

    >>> interpret({"conversations": [{"from": "human", "value": "How many?"}, {"from": "gpt", "value": "### …"}], "images": "a.png"})[:3]
    ('How many?', '### …', ('a.png',))
    """
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, found {kind(value)}")
    content = _content(value)._replace(source_id=own_id(value))
    texts = (content.user, content.assistant, content.answer, content.source_id or "")
    named = zip(("the user's text", "the assistant's text", "the answer", "the id"), texts, strict=True)
    for name, text in (*named, *(("an image path", path) for path in content.images)):
        if not is_unicode(text):
            raise ValueError(f"{name} holds half of a surrogate pair or bytes that are not UTF-8; save the file as UTF-8")
    return content


def _content(value: dict[str, Any]) -> Content:
    # A field of nulls is what a table has where some of its records are spelled otherwise: as good as absent.
    there = [key for key in _SPELLINGS if key in value]
    spelling = next((key for key in there if value[key] is not None), there[0] if there else None)
    if spelling is None:
        found = ", ".join(f"{name!a:.40}" for name in list(value)[:6]) or "nothing"
        raise ValueError(f"neither 'messages' nor 'conversations' nor 'problem' nor 'question' in the record, which holds {found}")
    if spelling == "problem":
        return _from_paper(value)
    if spelling == "question":
        return _ours(value)
    user, assistant, shown = _turns(value[spelling], spelling)
    return Content(user, assistant, _images(value) or shown, _answer(value))


def own_id(record: dict[str, Any]) -> str | None:
    """What a record calls itself, a text or a whole number; None where it does not. In databases of ours `id` is made of the content,
    and `source_id` is what the first source said."""
    value = record.get("source_id") if "source_id" in record else record.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value) or None


def is_unicode(text: str) -> bool:
    """Whether a text holds whole characters only."""
    return text.isascii() or not _SURROGATE.search(text)


def kind(value: Any) -> str:
    """What a decoded value is, for people."""
    return _KINDS.get(type(value), type(value).__name__)


def _from_paper(record: dict[str, Any]) -> Content:
    """R1-VL-10K: `solution` is a whole path, or the answer alone."""
    problem, solution = record["problem"], record.get("solution")
    if not isinstance(problem, str):
        raise ValueError(f"'problem' is {kind(problem)}; a string is expected")
    if isinstance(solution, int | float) and not isinstance(solution, bool) and math.isfinite(solution):
        solution = str(solution)
    if not isinstance(solution, str):
        raise ValueError(f"'solution' is {kind(solution)}; a string is expected")
    key_steps = _key_steps(record)
    if parse(solution).steps:
        return Content(problem, solution, _images(record), _answer(record), key_steps)
    return Content(problem, "", _images(record), solution.strip(), key_steps)


def _ours(record: dict[str, Any]) -> Content:
    question, path = record["question"], record.get("reference_path") or ""
    for name, text in (("question", question), ("reference_path", path)):
        if not isinstance(text, str):
            raise ValueError(f"'{name}' is {kind(text)}; a string is expected")
    return Content(question, path, _images(record), _answer(record), _key_steps(record), _choices(record.get("choices")))


def _choices(value: Any) -> tuple[tuple[str, str], ...]:
    """Choices as an object, as pairs of letter and text (Parquet's maps too), or as the texts alone, which are A, B, …"""
    if isinstance(value, list):
        if len(value) <= len(_LETTERS) and all(isinstance(one, str) for one in value):
            value = dict(zip(_LETTERS, value, strict=False))
        elif all(isinstance(one, list | tuple) and len(one) == 2 and isinstance(one[0], str) for one in value):
            if len({letter for letter, _ in value}) < len(value):
                raise ValueError("choices: a letter is given twice; give each choice its own")
            value = dict(value)
        else:
            raise ValueError("choices is a list of other things than texts, or of more than 26; write one text for each choice")
    return read_choices(value)


def _key_steps(record: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    value = record.get("key_steps")
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]
    if isinstance(value, dict) and value.get("Steps", 0) is None:
        return ()
    return () if value is None else read_key_steps(value)


def _answer(record: dict[str, Any]) -> str:
    value = record.get("answer")
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"'answer' is {kind(value)}; a string or a number is expected")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"'answer' is {value}, which is no number; a string or a number is expected, null where there is none")
    return str(value).strip()


def _turns(messages: Any, key: str) -> tuple[str, str, tuple[str, ...]]:
    """The user's text, the assistant's, and the pictures that parts of the messages name."""
    if not isinstance(messages, list):
        raise ValueError(f"'{key}' is {kind(messages)}; a list of messages is expected")
    shown: list[str] = []
    turns = [turn for turn in (_turn(message, key, shown) for message in messages) if turn[0] != "system"]
    roles = [role for role, _ in turns]
    if roles != ["user", "assistant"]:
        raise ValueError(f"expected one user and one assistant message, found {', '.join(roles[:6]) or 'none'}")
    return turns[0][1], turns[1][1], tuple(shown)


def _turn(message: Any, key: str, shown: list[str]) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise ValueError(f"a message in '{key}' is {kind(message)}; an object is expected")
    role = message.get("role", message.get("from"))
    text = message.get("content", message.get("value"))
    known = _ROLES.get(role.lower()) if isinstance(role, str) else None
    if known is None:
        raise ValueError(f"a message has the role {role!a:.40}; user, assistant or system is expected")
    if isinstance(text, list) and text:
        text = _joined(text, known, shown)
    if not isinstance(text, str):
        raise ValueError(f"the {known} message's text is {kind(text)}; a string is expected")
    return known, text


def _joined(parts: list[Any], role: str, shown: list[str]) -> str:
    """A message in parts, as chat templates take it: texts, and pictures, which may be named there and are noted in `shown`."""
    texts = []
    for part in parts:
        what = part.get("type") if isinstance(part, dict) else None
        if what == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif what in ("image", "image_url"):
            texts.append(IMAGE_PLACEHOLDER)
            named = part.get("image") or part.get("path") or part.get("image_url") or part.get("url")
            named = named.get("url") if isinstance(named, dict) and "url" in named else named
            shown += () if named is None else (picture_path(named),)
        else:
            raise ValueError(f"the {role} message's text is a list that holds {kind(part)}; parts of the type 'text' or 'image' do")
    return "".join(texts)


def _images(record: dict[str, Any]) -> tuple[str, ...]:
    # Of several fields the one that says something: tables made of several sources leave the others empty.
    for key in _IMAGE_KEYS:
        value = record.get(key)
        if value is not None and value != "" and value != []:
            break
    else:
        return ()
    if isinstance(value, list):
        return tuple(picture_path(one) for one in value)
    if isinstance(value, str | bytes) or (isinstance(value, dict) and ("bytes" in value or "path" in value)):
        return (picture_path(value),)
    raise ValueError(f"'images' is {kind(value)}; a path or a list of paths is expected")


def picture_path(value: Any) -> str:
    """The path of a picture as a record names it, alone or as Hugging Face's `{"bytes", "path"}`. Raises ValueError for what is none,
    and for a picture that lies inside the record."""
    if isinstance(value, str) and value and ":" not in value and len(value) < MIN_BASE64:
        return value  # nearly every one
    if isinstance(value, dict) and "path" in value and value.get("bytes") is None:
        value = value["path"]
    if isinstance(value, bytes) or (isinstance(value, dict) and value.get("bytes") is not None) or is_data_uri(value) or is_base64(value):
        raise ValueError("the picture lies inside the record; `r1vl unpack FILE FOLDER` writes such pictures into a folder")
    if not isinstance(value, str) or not value:
        raise ValueError(f"'images' holds {kind(value) if value != '' else 'an empty path'}; paths are expected")
    if _URL.match(value):
        raise ValueError(f"the picture is a URL, {value!a:.80}; nothing is downloaded: write it into the image folder")
    return value


def is_data_uri(value: Any) -> bool:
    """Whether a picture is spelled as a `data:` URI."""
    return isinstance(value, str) and value[:5].lower() == "data:"


def is_base64(value: Any) -> bool:
    """Whether a picture is spelled as the base64 of a PNG, JPEG, GIF or WebP file, which no path is as long as."""
    return isinstance(value, str) and len(value) >= MIN_BASE64 and value.startswith(("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR"))


MIN_BASE64 = 200
"""Characters; nearly every path has fewer, and every picture of some size more."""
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,20}://")
_SURROGATE = re.compile("[\ud800-\udfff]")
_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a truth value",
    int: "a number",
    float: "a number",
    bytes: "bytes",
    type(None): "null",
}
