"""One decoded record, taken apart: who asks what about which pictures, and what is given as the answer.

Three spellings are known, by the record's own keys: Mulberry-SFT / ShareGPT (messages or conversations), R1-VL-10K (problem, solution,
key_steps) and our own (question, answer, reference_path, choices, key_steps).
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from r1vl_core.data.scoring import read_choices, read_key_steps
from r1vl_core.reasoning.paths import parse

_USER = ("user", "human")
_ASSISTANT = ("assistant", "gpt")
_SYSTEM = ("system",)
_IMAGE_KEYS = ("images", "image", "image_path")


class Content(NamedTuple):
    """What a record says. `answer` is the record's own, "" where only its path gives one; an empty `assistant` means that there is no
    path; `choices` None means that they are to be looked for in the user's text.

    >>> Content("How many?", "### …", ("a.png",)).answer
    ''
    """

    user: str
    assistant: str
    images: tuple[str, ...]
    answer: str = ""
    key_steps: tuple[tuple[str, ...], ...] = ()
    choices: tuple[tuple[str, str], ...] | None = None


def interpret(value: Any) -> Content:
    """What one decoded record says. Raises ValueError saying what is wrong with it.

    >>> interpret({"conversations": [{"from": "human", "value": "How many?"}, {"from": "gpt", "value": "### …"}], "images": "a.png"})[:3]
    ('How many?', '### …', ('a.png',))
    """
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, found {kind(value)}")
    if "messages" not in value and "conversations" not in value:
        content = _from_paper(value) if "problem" in value else _ours(value) if "question" in value else None
        if content is None:
            found = ", ".join(f"{name!a:.40}" for name in list(value)[:6]) or "nothing"
            raise ValueError(f"neither 'messages' nor 'conversations' nor 'problem' in the record, which holds {found}")
    else:
        user, assistant = _turns(value)
        content = Content(user, assistant, _images(value), _answer(value))
    named = (("the user's text", content.user), ("the assistant's text", content.assistant), ("the answer", content.answer))
    for name, text in (*named, *(("an image path", path) for path in content.images)):
        if not is_unicode(text):
            raise ValueError(f"{name} holds half of a surrogate pair or bytes that are not UTF-8; save the file as UTF-8")
    return content


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
    choices = record.get("choices")
    if isinstance(choices, list):
        choices = dict(choices) if all(isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) for one in choices) else 0
    return Content(question, path, _images(record), _answer(record), _key_steps(record), read_choices(choices))


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
    return str(value).strip()


def _turns(record: dict[str, Any]) -> tuple[str, str]:
    key = "messages" if "messages" in record else "conversations"
    messages = record[key]
    if not isinstance(messages, list):
        raise ValueError(f"'{key}' is {kind(messages)}; a list of messages is expected")
    turns = [turn for turn in (_turn(message, key) for message in messages) if turn[0] != "system"]
    roles = [role for role, _ in turns]
    if roles != ["user", "assistant"]:
        raise ValueError(f"expected one user and one assistant message, found {', '.join(roles[:6]) or 'none'}")
    return turns[0][1], turns[1][1]


def _turn(message: Any, key: str) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise ValueError(f"a message in '{key}' is {kind(message)}; an object is expected")
    role = message.get("role", message.get("from"))
    text = message.get("content", message.get("value"))
    for known, names in (("user", _USER), ("assistant", _ASSISTANT), ("system", _SYSTEM)):
        if isinstance(role, str) and role.lower() in names:
            if not isinstance(text, str):
                raise ValueError(f"the {known} message's text is {kind(text)}; a string is expected")
            return known, text
    raise ValueError(f"a message has the role {role!a:.40}; user, assistant or system is expected")


def _images(record: dict[str, Any]) -> tuple[str, ...]:
    value = next((record[key] for key in _IMAGE_KEYS if key in record), None)
    if value is None or value == "":
        return ()
    paths = [value] if isinstance(value, str) else value
    if not isinstance(paths, list):
        raise ValueError(f"'images' is {kind(value)}; a path or a list of paths is expected")
    for path in paths:
        if not isinstance(path, str) or not path:
            raise ValueError(f"'images' holds {kind(path) if path != '' else 'an empty path'}; paths are expected")
    return tuple(paths)


_SURROGATE = re.compile("[\ud800-\udfff]")
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "a truth value", int: "a number", float: "a number", type(None): "null"}
