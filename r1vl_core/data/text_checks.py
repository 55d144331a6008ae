"""The checks that need a record's text alone. They run slice by slice, in worker processes where there are any."""

from __future__ import annotations

import json.encoder
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from r1vl_core.data.elements import record_of
from r1vl_core.data.language import foreign_language
from r1vl_core.data.slices import Slice, read_slice
from r1vl_core.data.token_bounds import PathTokens
from r1vl_core.data.wording import Wording, normalise, num_shown, split_wording
from r1vl_core.reasoning import answers, paths
from r1vl_core.reasoning.gold_answers import settled
from r1vl_core.reasoning.plain_paths import PlainPath, read_plain
from r1vl_core.records import RawRecord, Rejected

_NO_ANSWER = frozenset({paths.Defect.MISSING_ANSWER, paths.Defect.EMPTY_ANSWER})
_HEADERS = {
    "description": "### Image Description:",
    "rationale": "### Rationales:",
    "steps": "### Step 1:",
    "step": "### Step",
    "answer": "### The final answer is:",
}
_NO_SECTIONS = "the path has none of its sections (### Image Description:, ### Rationales:, ### Step 1:, …, ### The final answer is:)"
_NO_PATH = (
    "no reasoning path (the assistant's message, 'solution' beside 'problem', 'reference_path' beside 'question'), nor an answer with "
    "key_steps, which do without one"
)
_LETTER = re.compile(r"[(\[*]{0,3}([A-Z])(?:[)\].:*]|\Z)")
_AROUND = " .$*"
_spelled: Callable[[str], str] = json.encoder.encode_basestring


@dataclass(frozen=True, slots=True)
class TextChecks:
    """What a record's text is held against, and what later checks want to know of it.

    >>> TextChecks().language
    ''
    """

    language: str = ""
    sketches: bool = True
    """Whether MinHashes are wanted."""
    path_tokens: PathTokens | None = None
    """None: every path is left to the tokenizer."""


class Candidate(NamedTuple):
    """A record whose text passed: still to be held against its picture, the tokenizer and the other records.

    `normalised` is the text as it is compared, `sketch` finds texts near it; `identity` spells what a question's id is made of, but for
    its picture; `is_short` says that its path surely keeps the limit of tokens.
    """

    source: str
    row: int
    raw: str
    image: str
    text: str
    choices: tuple[tuple[str, str], ...]
    answer: str
    reference_path: str
    key_steps: tuple[tuple[str, ...], ...]
    source_id: str | None
    normalised: str
    identity: str
    sketch: bytes
    is_short: bool


Judged = Candidate | Rejected


def judge_slice(part: Slice, checks: TextChecks) -> list[Judged] | None:
    """The records of a slice, in a worker; their rows count from 1. None where the slice alone does not say what its records are."""
    elements = read_slice(part)
    if elements is None:
        return None
    return judge_records((record_of(part.source, row, element) for row, element in enumerate(elements, 1)), checks)


def judge_records(records: Iterable[RawRecord], checks: TextChecks) -> list[Judged]:
    """Each record judged, with the sketches that later checks want.

    What every record goes through is done for all of them at a time, which is faster than record by record: the processor keeps its code
    and tables at hand.
    """
    each = list(records)
    wordings = list(map(_wording, each))
    plain = [read_plain(record.assistant) for record in each]
    judged = [_judge(record, wording, path, checks) for record, wording, path in zip(each, wordings, plain, strict=True)]
    if not checks.sketches:
        return judged
    from r1vl_core.data.near_texts import sketches  # brings NumPy, which is not needed where no sketches are

    made = iter(sketches([one.normalised for one in judged if isinstance(one, Candidate)]))
    return [one._replace(sketch=next(made)) if isinstance(one, Candidate) else one for one in judged]


def judge_record(record: RawRecord, checks: TextChecks) -> Judged:
    """One record's text against all checks that need nothing else; the first that fails names the reason. It has no sketch yet."""
    return _judge(record, _wording(record), read_plain(record.assistant), checks)


def _wording(record: RawRecord) -> Wording:
    return split_wording(record.user) if record.choices is None else Wording(record.user.strip(), record.choices)


def _judge(record: RawRecord, wording: Wording, plain: PlainPath | None, checks: TextChecks) -> Judged:
    if record.problem is not None:
        return reject(record, "unreadable_record", record.problem)
    if paths.is_blank(wording.text):
        return reject(record, "unreadable_record", "the user's text asks nothing")
    if problem := _picture_problem(record):
        return problem
    path = plain or _parsed(record)
    if isinstance(path, Rejected):
        return path
    if problem := _answer_problem(record, path.answer, wording):
        return problem
    if checks.language and (problem := _language_problem(record, path, wording, checks.language)):
        return problem
    return _candidate(record, wording, path.answer, checks)


def reject(record: RawRecord | Candidate, reason: str, detail: str) -> Rejected:
    """The rejected row of a record, its raw form with it."""
    return Rejected(record.source, record.row, reason, detail, record.raw)


def _picture_problem(record: RawRecord) -> Rejected | None:
    # The trainers encode one picture with every question (`Policy.encode`): neither none nor several can be used.
    if not record.images:
        return reject(record, "no_image", "the record names no picture in 'images', 'image' or 'image_path'; the trainers need one")
    if len(record.images) > 1:
        return reject(record, "several_images", f"{len(record.images)} pictures; the trainers take one")
    if record.user.count("<") > 1 and (num_pictures := num_shown(record.user)) > 1:  # each placeholder has one
        return reject(record, "several_images", f"the text shows {num_pictures} pictures, the record names one")
    return None


def _parsed(record: RawRecord) -> PlainPath | Rejected:
    """A path that is not written as most are: parsed, with what is wrong with it named; or, without a path, the answer alone."""
    path = paths.parse(record.assistant)
    if not record.assistant and record.answer and record.key_steps:
        return PlainPath("", "", record.answer)
    if marks := paths.reflection_marks(path):
        return reject(record, "reflective", f"the path goes back on itself, or its steps are not numbered 1, 2, …: {', '.join(marks)}")
    if paths.is_blank(record.assistant):
        return reject(record, "unparsable_path", _NO_PATH)
    if not (path.description or path.rationale or path.steps or path.answer):
        return reject(record, "unparsable_path", f"{_NO_SECTIONS} and begins {record.assistant[:60]!a}")
    if path.defects:
        reason = "no_answer" if _NO_ANSWER.issuperset(path.defects) else "unparsable_path"
        return reject(record, reason, ", ".join(map(_in_words, path.defects)))
    assert path.description is not None, "a path without defects has all sections"
    assert path.rationale is not None, "a path without defects has all sections"
    assert path.answer is not None, "a path without defects has all sections"
    return PlainPath(path.description.text, path.rationale.text, path.answer.text)


def _in_words(defect: paths.Defect) -> str:
    """A defect by its name, and the header that is looked for, where one is, or its text, is not there."""
    what, _, section = defect.partition("_")
    if what == "missing":
        return f"{defect} (no line begins with {_HEADERS[section]!r})"
    if what == "empty":
        return f"{defect} (nothing stands behind {_HEADERS[section]!r} nor below it)"
    return defect


def _answer_problem(record: RawRecord, answer: str, wording: Wording) -> Rejected | None:
    try:
        answers.check_gold(answer, wording.choices)
    except ValueError as error:
        return reject(record, "answer_mismatch", f"the {error}")
    if wording.choices and not _names_a_choice(answer, wording.choices):
        # No response could be right; an index into the choices, as some tables have, is no answer either.
        said = ", ".join(f"{letter}: {text}" for letter, text in wording.choices)
        why = f"the answer {answer!r:.80} is none of the choices {said:.200}; write its letter or its text"
        return reject(record, "answer_mismatch", why)
    if not record.assistant or not record.answer:
        return None
    if _differs(answer, record.answer, wording) and _differs(
        settled(answer).text, record.answer, wording
    ):  # with and without a remark behind it
        return reject(record, "answer_mismatch", f"the path ends with {answer!r:.100}, the record's answer is {record.answer!r:.100}")
    return None


def _names_a_choice(answer: str, choices: tuple[tuple[str, str], ...]) -> bool:
    # Nearly every answer is a choice's letter or its text to the letter: told at a hundredth of the cost.
    label, text = _LETTER.match(answer), answer.strip(_AROUND)
    if any((label and label[1] == letter) or choice == text for letter, choice in choices):
        return True
    return bool(answers.read_gold(answer, choices).letters)


def _differs(answer: str, gold: str, wording: Wording) -> bool:
    return answers.is_correct(answer, gold, wording).verdict in ("wrong", "absent")


def _language_problem(record: RawRecord, path: PlainPath, wording: Wording, expected: str) -> Rejected | None:
    for name, text in (("question", wording.text), ("path", path.description)):
        if found := foreign_language(text, expected):
            return reject(record, "other_language", f"the {name} is in the language {found!r}, not {expected!r}")
    return None


def _candidate(record: RawRecord, wording: Wording, answer: str, checks: TextChecks) -> Candidate:
    path, normalised = record.assistant.strip(), normalise(wording.text)
    return Candidate(
        source=record.source,
        row=record.row,
        raw=record.raw,
        image=record.images[0],
        text=wording.text,
        choices=wording.choices,
        answer=answer,
        reference_path=path,
        key_steps=record.key_steps,
        source_id=record.source_id,
        normalised=normalised,
        identity=identity_of(normalised, wording.choices),
        sketch=b"",
        is_short=not path or (checks.path_tokens is not None and checks.path_tokens.surely_fit(path)),
    )


def identity_of(normalised: str, choices: Sequence[tuple[str, str]]) -> str:
    """What a question's id is made of, but for its picture: its normalised text and its choices, as the beginning of a JSON list."""
    pairs = ", ".join(f"[{_spelled(letter)}, {_spelled(normalise(text))}]" for letter, text in choices)
    return f"[{_spelled(normalised)}, [{pairs}]"
