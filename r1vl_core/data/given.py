"""Key steps that somebody brings: in the format of R1-VL-10K, written and read back, and held against the reference paths.

One JSON object a line: `image_path`, `problem`, `solution`, `key_steps` as published, and `id`, which the published file lacks, with
`source_id` where the question's source has ids of its own. Such a file is laid over curated questions, see `laid_over`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from r1vl_core.data.scoring import read_id, read_key_steps
from r1vl_core.data.strict_json import json_lines
from r1vl_core.data.wording import normalise, split_wording
from r1vl_core.reasoning.key_steps import CompiledKeySteps, compile_form, match
from r1vl_core.reasoning.paths import parse
from r1vl_core.records import Question, asked

KeySteps = tuple[tuple[str, ...], ...]
Place = str | tuple[str, str]
"""What says which question is meant: its id, ours or its source's, or its picture's path and its wording."""


class GivenRecord(NamedTuple):
    """A record of such a file: its line, from 1, what says which question is meant, and its key steps.

    >>> GivenRecord(1, "q1", (("6/3 = 2",),)).line
    1
    """

    line: int
    whose: Place
    key_steps: KeySteps


class Stood(NamedTuple):
    """Key steps held against a reference path: those that stand, and the number, from 1, of each that does not, or not with all of its
    forms, and why.

    >>> Stood((("6/3 = 2",),), ((2, "key_step_not_in_path"),)).left_out[0][0]
    2
    """

    kept: KeySteps
    left_out: tuple[tuple[int, str], ...]


def to_line(question: Question) -> str:
    """A question as a line of R1-VL-10K, its id added.

    >>> from r1vl_core.records import Question
    >>> to_line(Question("q1", "s", "1.png", "", "6 / 3?", (), "2", "…", (("6/3 = 2",),)))
    '{"id": "q1", "image_path": "1.png", "problem": "6 / 3?", "solution": "…", "key_steps": {"Steps": [["6/3 = 2"]]}}'
    """
    record = {
        "id": question.id,
        **({} if question.source_id is None else {"source_id": question.source_id}),
        "image_path": question.image,
        "problem": asked(question.text, question.choices),
        "solution": question.reference_path or question.answer,
        "key_steps": {"Steps": [list(forms) for forms in question.key_steps]},
    }
    return json.dumps(record, ensure_ascii=False)


def export_key_steps(path: Path, questions: Iterable[Question]) -> int:
    """Write questions as JSON lines, whole or not at all; how many. Raises ValueError when the file is there already, OSError."""
    if path.exists():
        raise ValueError(f"{path} exists already; give another name or remove it")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: no folder {path.parent}; make it, or name another place")
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            num_written = sum(bool(file.write(to_line(question) + "\n")) for question in questions)
        partial.rename(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # people know the file, not our temporary one
    finally:
        partial.unlink(missing_ok=True)
    return num_written


def read_given(path: Path) -> list[GivenRecord]:
    """The records of a file. Raises ValueError naming the line and the cure."""
    if not path.is_file():
        what = "this is a folder" if path.is_dir() else "no such file"
        raise ValueError(f"{path}: {what}; give the JSON lines with the key steps")
    found: dict[Place, GivenRecord] = {}
    with path.open("rb") as file:
        for line, place, record in json_lines(file, str(path)):
            try:
                whose = _whose(record)
                key_steps = read_key_steps(record.get("key_steps"))
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from None
            if whose in found:
                raise ValueError(
                    f"{place}: {whose if isinstance(whose, str) else whose[0]} has key steps already; give each question one record"
                )
            found[whose] = GivenRecord(line, whose, key_steps)
    if not found:
        raise ValueError(f"{path}: holds no record; write one JSON object a line with id and key_steps")
    return list(found.values())


def standing(key_steps: Sequence[Sequence[str]], reference_path: str) -> Stood:
    """The key steps that the reference path reaches, with the forms that say something.

    Against an answer alone, which has no steps, nothing can be held: then all of them stand that say something.
    """
    path = parse(reference_path)
    kept, left_out = [], []
    for number, forms in enumerate(key_steps, 1):
        said = [(form, one) for form in forms if (one := compile_form(form)) is not None]
        if not said:
            left_out.append((number, "key_step_says_nothing"))
        elif path.steps and match(path, CompiledKeySteps((tuple(one for _, one in said),)))[0] is None:
            left_out.append((number, "key_step_not_in_path"))
        else:
            kept.append(tuple(form for form, _ in said))
            left_out += [(number, "form_says_nothing")] if len(said) < len(forms) else []
    return Stood(tuple(kept), tuple(left_out))


def _whose(record: Any) -> Place:
    if not isinstance(record, dict):
        raise ValueError("not an object; write one JSON object a line with id and key_steps")
    if record.get("id") is not None:
        return str(read_id(record))
    image, problem = record.get("image_path"), record.get("problem")
    if not isinstance(image, str) or not isinstance(problem, str):
        raise ValueError("no id, and no image_path with problem either; say which question is meant")
    return image, normalise(split_wording(problem).text)
