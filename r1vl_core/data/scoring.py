"""Files for scoring offline: questions in any of three spellings, and responses as JSON lines.

Unlike training data (`readers`), nothing here is left out: what a user gives is scored whole, or the first thing wrong with it is
named with its file, its line and the cure. A response file is read line by line and never held whole.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from r1vl_core.data.strict_json import decode, json_lines
from r1vl_core.data.wording import split_wording
from r1vl_core.reasoning.answers import check_gold
from r1vl_core.reasoning.paths import parse
from r1vl_core.records import Question

_HEAD = 4096
_SURROGATE = re.compile("[\ud800-\udfff]")
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number", type(None): "null"}


@dataclass(frozen=True, slots=True)
class Response:
    """One response of a file. `id` is the question's, as a text; `given_id` as the file spells it; `place` names file and line.

    >>> Response("responses.jsonl, line 1", "7", 7, "### Step 1: …").id
    '7'
    """

    place: str
    id: str
    given_id: str | int
    text: str


@dataclass(frozen=True, slots=True)
class PlacedQuestion:
    """A question with the place it was read from, for messages.

    >>> PlacedQuestion("q.jsonl, line 1", Question("q", "", "", "", "?", (), "2", "")).question.id
    'q'
    """

    place: str
    question: Question


def read_question_file(path: Path) -> list[PlacedQuestion]:
    """Questions of a DuckDB database of ours, or of JSON lines (or one JSON array) in our spelling or R1-VL-10K's, in the file's order.
    "-" is the standard input, which holds no database.

    Our spelling: `id`, `question`, `answer`, `key_steps` (a list whose items are lists of forms, or single forms), and where there are
    any `choices` (letter to text) and `reference_path`. R1-VL-10K's: `problem`, `solution`, `key_steps`; without an `id` a record is
    called by its number, from 1. Raises ValueError naming file, line and cure for anything else, and for an id given twice.
    """
    if str(path) == "-":
        with open(sys.stdin.fileno(), "rb", closefd=False) as file:
            return _placed("standard input", _records(file, "standard input"))
    _check_file(path, "questions")
    with path.open("rb") as file:  # once: a pipe's content is gone after the first reading
        if file.peek(_HEAD)[8:12] == b"DUCK":
            return _from_database(path)
        return _placed(str(path), _records(file, str(path)))


def _placed(name: str, records: Iterator[tuple[int, str, Any]]) -> list[PlacedQuestion]:
    placed: list[PlacedQuestion] = []
    places: dict[str, str] = {}
    for number, place, record in records:
        try:
            question = read_question(record, number)
            check_gold(question.answer, question.choices)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        if question.id in places:
            raise ValueError(
                f"{place}: the id {question.id!r} stands in {places[question.id].rpartition(', ')[2]} already; give each question its own"
            )
        places[question.id] = place
        placed.append(PlacedQuestion(place, question))
    if not placed:
        raise ValueError(f"{name}: holds no question; write one JSON object a line with id, question, answer and key_steps")
    return placed


def read_question(record: Any, number: int = 1) -> Question:
    """One question from a decoded record; `number` is the id of one that has none. Raises ValueError with the field and the cure.

    >>> read_question({"id": 7, "question": "6 / 3?", "answer": "2", "key_steps": [["6/3 = 2"], "so 2"]}).key_steps
    (('6/3 = 2',), ('so 2',))
    """
    if not isinstance(record, dict):
        raise ValueError(f"{_kind(record)} instead of an object; write one JSON object a line")
    if "problem" in record and "question" not in record:
        return _from_paper(record, number)
    answer = _text(record, "answer")
    if not answer.strip():
        raise ValueError("answer is empty; give the right answer")
    return Question(
        id=str(read_id(record)),
        source="",
        image="",
        image_sha256="",
        text=_text(record, "question"),
        choices=read_choices(record.get("choices")),
        answer=answer,
        reference_path=_text(record, "reference_path", ""),
        key_steps=read_key_steps(_field(record, "key_steps")),
    )


def read_responses(path: Path) -> Iterator[Response]:
    """Responses of a JSON lines file in its order, one at a time; several to one question are fine. "-" is the standard input.

    Raises ValueError naming file, line and cure.
    """
    if str(path) == "-":
        yield from _responses(sys.stdin.buffer, "standard input")
        return
    _check_file(path, "responses")
    with path.open("rb") as file:
        yield from _responses(file, str(path))


def read_id(record: dict[str, Any]) -> str | int:
    """A record's id as it is written: a text or a whole number. Raises ValueError."""
    value = _field(record, "id")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"id is {_kind(value)}; write a text or a whole number")
    if isinstance(value, str):
        _check_unicode(value, "id")
    if value == "":
        raise ValueError("id is empty; give each question its own")
    return value


def read_choices(value: Any) -> tuple[tuple[str, str], ...]:
    """Choices as (letter, text) pairs from an object letter to text; none for null. Raises ValueError."""
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise ValueError(f'choices is {_kind(value)}; write an object such as {{"A": "12", "B": "15"}}')
    for letter, text in value.items():
        if not re.fullmatch("[A-Za-z]", letter):
            raise ValueError(f"choices: {letter!r} is not a letter; write each choice as letter and text")
        if not isinstance(text, str):
            raise ValueError(f"choices: {letter} is {_kind(text)}; write a text")
        _check_unicode(text, f"choices: {letter}")
    if len({letter.upper() for letter in value}) < len(value):
        raise ValueError("choices: a letter is given twice; give each choice its own")
    return tuple(value.items())


def read_key_steps(value: Any) -> tuple[tuple[str, ...], ...]:
    """Key steps, each a tuple of forms, from a list of lists of forms; a bare text is a key step of one form. Raises ValueError.

    The spellings of R1-VL-10K are understood: `{"Steps": [...]}`, and a list that holds that object.
    """
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]
    if isinstance(value, dict):
        value = _field(value, "Steps")
    if not isinstance(value, list):
        raise ValueError(f"key_steps is {_kind(value)}; write a list of key steps, each a list of its forms")
    return tuple(_forms(index, forms) for index, forms in enumerate(value))


def _forms(index: int, forms: Any) -> tuple[str, ...]:
    forms = [forms] if isinstance(forms, str) else forms
    if not isinstance(forms, list) or not forms:
        what = "empty" if forms == [] else _kind(forms)
        raise ValueError(f"key step {index} is {what}; write a list of one or more forms")
    for form in forms:
        if not isinstance(form, str):
            raise ValueError(f"key step {index} holds {_kind(form)}; write each form as a text")
        _check_unicode(form, f"key step {index}")
        if not form.strip():
            raise ValueError(f"key step {index} holds an empty form, which would match every path; give it text or remove it")
    return tuple(forms)


def _from_paper(record: dict[str, Any], number: int) -> Question:
    """R1-VL-10K: `solution` is a whole path or the answer alone; the choices stand in the problem's text."""
    wording = split_wording(_text(record, "problem"))
    solution = _text(record, "solution")
    path = parse(solution)
    answer = path.answer.text if path.answer else solution
    if not answer.strip():
        raise ValueError("solution holds no answer; give a reasoning path with its final answer, or the answer alone")
    key_steps = record.get("key_steps")
    return Question(
        id=str(read_id(record)) if record.get("id") is not None else str(number),
        source="",
        image="",
        image_sha256="",
        text=wording.text,
        choices=read_choices(record.get("choices")) or wording.choices,
        answer=answer,
        reference_path=solution if path.steps else "",
        key_steps=() if key_steps is None else read_key_steps(key_steps),
    )


def _from_database(path: Path) -> list[PlacedQuestion]:
    from r1vl_core.data.database import read_questions  # DuckDB is imported only for a database

    return [PlacedQuestion(f"{path}, question {question.id}", question) for question in read_questions(path)]


def _responses(file: IO[bytes], name: str) -> Iterator[Response]:
    for _, place, record in json_lines(file, name):
        try:
            if not isinstance(record, dict):
                raise ValueError(f'{_kind(record)} instead of an object; write {{"id": …, "response": …}}')
            given = read_id(record)
            # A model's text is scored whatever it holds, half a surrogate pair too.
            yield Response(place, str(given), given, _any_text(record, "response"))
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None


def _records(file: BufferedReader, name: str) -> Iterator[tuple[int, str, Any]]:
    """(number from 1, place, value) of every record of a JSON array or of JSON lines."""
    start = file.peek(_HEAD)[:_HEAD].decode("utf-8-sig", "replace").lstrip()
    if start.startswith("["):
        value = decode(file.read(), name)
        for number, record in enumerate(value if isinstance(value, list) else [value], 1):
            yield number, f"{name}, record {number}", record
        return
    for number, (_, place, record) in enumerate(json_lines(file, name), 1):
        yield number, place, record


def _field(record: dict[str, Any], name: str) -> Any:
    if name not in record:
        found = ", ".join(sorted(record))
        raise ValueError(f"no field {name!r} (there is {found or 'none'}); add it")
    return record[name]


def _text(record: dict[str, Any], name: str, default: str | None = None) -> str:
    value = record.get(name) if default is not None else _field(record, name)
    if value is None and default is not None:
        return default
    text = _any_text({name: value}, name)
    _check_unicode(text, name)
    return text


def _any_text(record: dict[str, Any], name: str) -> str:
    value = _field(record, name)
    if not isinstance(value, str):
        raise ValueError(f"{name} is {_kind(value)}; write a text")
    return value


def _check_unicode(text: str, name: str) -> None:
    if not text.isascii() and _SURROGATE.search(text):
        raise ValueError(f"{name} holds half of a surrogate pair, which is no character; write the whole character or remove it")


def _check_file(path: Path, what: str) -> None:
    if not path.exists():
        raise ValueError(f"{path}: no such file; give the file of the {what}")
    if path.is_dir():
        raise ValueError(f"{path}: a folder; give the file of the {what}")
    if path.is_file():  # a pipe must not be read twice
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        if compressed:
            raise ValueError(f"{path}: compressed with gzip; unpack it first")


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), type(value).__name__)
