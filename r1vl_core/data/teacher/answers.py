"""The shapes that a teacher's answers must have: JSON, read strictly.

One fence of Markdown around the whole is taken off, as most models put it there whatever they are told; nothing else is forgiven.
"""

from __future__ import annotations

import re
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from r1vl_core.data.teacher.cache import Answer

_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL)
_SHOWN = 120

_Text = Annotated[str, StringConstraints(min_length=1, max_length=400, strip_whitespace=True)]
Shape = TypeVar("Shape", bound=BaseModel)


class Strict(BaseModel):
    """A shape that forgives nothing: no other fields, no other types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Steps(Strict):
    """What the prompts extract and refine ask for.

    >>> Steps.model_validate_json('{"key_steps": ["12 / 2 = 6"]}').key_steps
    ['12 / 2 = 6']
    """

    key_steps: list[_Text] = Field(max_length=64)


class Forms(Strict):
    """What the prompt augment asks for: a list of forms for each key step.

    >>> Forms.model_validate_json('{"forms": [["12/2 = 6"], []]}').forms
    [['12/2 = 6'], []]
    """

    forms: list[list[_Text]] = Field(max_length=64)


def read_answer(answer: Answer, shape: type[Shape]) -> Shape:
    """An answer in its shape. Raises ValueError saying what is wrong with it, in words for the teacher.

    >>> from r1vl_core.data.teacher.budget import Tokens
    >>> read_answer(Answer('{"key_steps": "none"}', "stop", Tokens(), 0.0, 1), Steps)
    Traceback (most recent call last):
    ...
    ValueError: key_steps: Input should be a valid array
    """
    if answer.finish == "length":
        raise ValueError("it was cut off at the token limit; be brief")
    if answer.finish == "nothing":
        raise ValueError("it is empty")
    text = answer.text.strip()
    fenced = _FENCE.fullmatch(text)
    try:
        return shape.model_validate_json(fenced[1] if fenced else text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place + ': ' if place else ''}{first['msg']:.{_SHOWN}}") from None
