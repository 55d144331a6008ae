"""The plain majority of records, told at half the cost of reading them exactly.

Nearly every record of a training file is one JSON object of two messages, the user's and the assistant's, each a text, and one picture's
path. orjson decodes such a text. Where it might decode otherwise than the standard decoder (half surrogate pairs, NaN, numbers beyond 64
bits, deep nesting), and for any other record, `json_stream` and `interpretation` read; they agree on every text that is taken here
(tests/core/data/test_plain_records.py).
"""

from __future__ import annotations

from typing import Any

import orjson

from r1vl_core.data.interpretation import MIN_BASE64, Content, own_id

_MAX_MORE = 1000
"""Characters beside the texts. Where there are more, a field that is not looked at may be nested hundreds of times deep, which the standard
decoder refuses and orjson does not."""


def read_plain(text: str) -> Content | None:
    """What a text that is one plain record says, blanks around it aside; None for any other text, a record or not.

    >>> read_plain('{"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}], "images": "1.png"}')[:3]
    ('Q', 'A', ('1.png',))
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if type(value) is not dict:
        return None
    messages, image, answer = value.get("messages"), value.get("images"), value.get("answer", "")
    if type(value.get("id")) is float or type(value.get("source_id")) is float:
        return None  # perhaps a whole number of more than 64 bits
    if type(messages) is not list or len(messages) != 2 or type(image) is not str or type(answer) is not str:
        return None
    user, assistant = _said(messages[0], "user"), _said(messages[1], "assistant")
    if user is None or assistant is None or not image or ":" in image or len(image) >= MIN_BASE64:
        return None
    more = len(text) - len(user) - len(assistant) - len(image)
    return Content(user, assistant, (image,), answer.strip(), source_id=own_id(value)) if more <= _MAX_MORE else None


def _said(message: Any, role: str) -> str | None:
    if type(message) is not dict or message.get("role") != role:
        return None
    text = message.get("content")
    return text if type(text) is str else None
