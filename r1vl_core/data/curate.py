"""Curation: every record becomes exactly one of a question or a rejected row with one named reason.

A record is held against the checks below in this order and rejected by the first that it fails; so accepted + rejected = read, and
which reason a record gets depends on nothing but the record, the settings, the held-out set and, for duplicates alone, the records
accepted before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from r1vl_core.config import Curate
from r1vl_core.data.image_checker import ImageChecker, ImageMemory
from r1vl_core.data.images import CheckedImage, ImageLimits, ImageProblem, PictureError, digest_pixels, open_image
from r1vl_core.data.shards import MapShards
from r1vl_core.data.wording import IMAGE_PLACEHOLDER, Wording, normalise, split_wording
from r1vl_core.reasoning import paths
from r1vl_core.records import BenchmarkRow, Question, RawRecord, Rejected

if TYPE_CHECKING:
    from PIL import Image

REASONS = (
    "unreadable_record",
    "no_image",
    "several_images",
    "reflective",
    "unparsable_path",
    "no_answer",
    "image_outside_root",
    "missing_image",
    "broken_image",
    "image_too_large",
    "image_too_small",
    "image_too_narrow",
    "contaminated",
    "prompt_too_long",
    "path_too_long",
    "duplicate",
)
"""Why a record is rejected, in the order the checks are made."""

CountPromptTokens = Callable[[Question, int, int], int]
"""Tokens of the whole prompt for a question whose picture has this width and height in pixels."""

CountPathTokens = Callable[[str], int]
"""Tokens of a reference path, its end token included."""

_BATCH_RECORDS = 4096
_PROGRESS_RECORDS = 500


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A held-out question: its normalised text, and the digest of its picture's pixels.

    >>> HeldOut(text="how many?", pixel_sha256="ab").text
    'how many?'
    """

    text: str
    pixel_sha256: str


@dataclass(frozen=True, slots=True)
class Curated:
    """What curation made of the records, both in the order they were read.

    >>> Curated(questions=[], rejected=[]).num_read
    0
    """

    questions: list[Question]
    rejected: list[Rejected]

    @property
    def num_read(self) -> int:
        """Records read."""
        return len(self.questions) + len(self.rejected)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A record whose text passed: still to be held against its picture."""

    record: RawRecord
    wording: Wording
    answer: str


@dataclass(frozen=True, slots=True)
class Checks:
    """What every record is held against: the settings, each source's image folder, the policy's own tokenizer, the held-out set.

    >>> Checks(Curate(), {"world": Path("images")}, lambda question, width, height: 80, lambda path: 120).held_out
    ()
    """

    settings: Curate
    image_roots: Mapping[str, Path]
    count_prompt_tokens: CountPromptTokens
    count_path_tokens: CountPathTokens
    held_out: Sequence[HeldOut] = ()


def curate(
    records: Iterable[RawRecord],
    checks: Checks,
    *,
    num_workers: int = 1,
    memory: ImageMemory | None = None,
    map_shards: MapShards | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Curated:
    """Judge every record. `num_workers` processes, or `map_shards`, decode the pictures that `memory` does not know; `on_progress` gets
    the records judged so far now and then."""
    curated = Curated([], [])
    for outcome in judge(records, checks, num_workers=num_workers, memory=memory, map_shards=map_shards):
        if isinstance(outcome, Question):
            curated.questions.append(outcome)
        else:
            curated.rejected.append(outcome)
        if on_progress and curated.num_read % _PROGRESS_RECORDS == 0:
            on_progress(curated.num_read)
    return curated


def judge(
    records: Iterable[RawRecord],
    checks: Checks,
    *,
    num_workers: int = 1,
    memory: ImageMemory | None = None,
    map_shards: MapShards | None = None,
) -> Iterator[Question | Rejected]:
    """One outcome for each record, in order; memory holds one batch of records and the ids accepted so far."""
    settings = checks.settings
    leaked = {(item.text, item.pixel_sha256) for item in checks.held_out} if settings.contamination else set()
    accepted: dict[str, str] = {}  # a question's id to where it was read
    iterator = iter(records)
    limits = ImageLimits(settings.min_image_side, settings.max_image_pixels)
    with ImageChecker(limits, num_workers, memory=memory, map_shards=map_shards) as checker:
        while batch := list(islice(iterator, _BATCH_RECORDS)):
            judged = [_judge_text(record) for record in batch]
            images = _check_images(checker, checks.image_roots, [one for one in judged if isinstance(one, _Candidate)])
            for one in judged:
                if isinstance(one, Rejected):
                    yield one
                else:
                    yield _judge_candidate(one, images[one.record.source, one.record.images[0]], checks, leaked, accepted)


def held_out_questions(rows: Iterable[BenchmarkRow], max_pixels: int) -> list[HeldOut]:
    """What curation needs to know of an evaluation file. Raises ValueError naming a row whose picture does not decode."""
    return [HeldOut(normalise(split_wording(row.question).text), digest_pixels(open_held_out(row, max_pixels))) for row in rows]


def open_held_out(row: BenchmarkRow, max_pixels: int) -> Image.Image:
    """A held-out row's picture, opened as training opens pictures (orientation, transparency, depth). Raises ValueError naming the row."""
    try:
        return open_image(row.image, max_pixels)
    except PictureError as error:
        raise ValueError(f"held-out row {row.index!r}: its picture: {error.detail}") from None


def question_id(wording: Wording, pixel_sha256: str) -> str:
    """A question's id: 16 hex digits made of its normalised text, its choices and its picture's pixels, wherever they came from."""
    choices = [[letter, normalise(text)] for letter, text in wording.choices]
    content = json.dumps([normalise(wording.text), choices, pixel_sha256], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _judge_text(record: RawRecord) -> _Candidate | Rejected:
    """The checks that need the record's text alone."""
    if record.problem is not None:
        return _reject(record, "unreadable_record", record.problem)
    wording = split_wording(record.user)
    if not wording.text:
        return _reject(record, "unreadable_record", "the user's text asks nothing")
    if not record.images:
        return _reject(record, "no_image", "the record names no picture")
    if len(record.images) > 1:
        return _reject(record, "several_images", f"{len(record.images)} pictures; one is expected")
    if (num_placeholders := record.user.count(IMAGE_PLACEHOLDER)) > 1:
        return _reject(record, "several_images", f"the text shows {num_placeholders} pictures, the record names one")
    if marks := paths.reflection_marks(record.assistant):
        return _reject(record, "reflective", f"the path goes back on itself: {', '.join(marks)}")
    path = paths.parse(record.assistant)
    if path.defects and set(path.defects) <= {paths.Defect.MISSING_ANSWER, paths.Defect.EMPTY_ANSWER}:
        return _reject(record, "no_answer", ", ".join(path.defects))
    if path.defects:
        return _reject(record, "unparsable_path", ", ".join(path.defects))
    assert path.answer is not None, "a path without defects has an answer"
    return _Candidate(record, wording, path.answer.text)


def _check_images(
    checker: ImageChecker, roots: Mapping[str, Path], candidates: Sequence[_Candidate]
) -> dict[tuple[str, str], CheckedImage | ImageProblem]:
    """Each picture of a batch once, however many records show it."""
    wanted = list(dict.fromkeys((one.record.source, one.record.images[0]) for one in candidates))
    return dict(zip(wanted, checker.check([(roots[source], image) for source, image in wanted]), strict=True))


def _judge_candidate(
    one: _Candidate, image: CheckedImage | ImageProblem, checks: Checks, leaked: set[tuple[str, str]], accepted: dict[str, str]
) -> Question | Rejected:
    """The checks that need the picture, the tokenizer (nothing is ever cut to fit) and, last, the questions accepted before."""
    record, settings = one.record, checks.settings
    if isinstance(image, ImageProblem):
        return _reject(record, image.reason, f"{image.path!a:.80}: {image.detail}")
    if (normalise(one.wording.text), image.pixel_sha256) in leaked:
        return _reject(record, "contaminated", "the held-out set asks the same about the same picture")
    question = _question(one, image)
    num_tokens = checks.count_prompt_tokens(question, image.width, image.height)
    if num_tokens > settings.max_prompt_tokens:
        return _reject(record, "prompt_too_long", f"{num_tokens} tokens; the limit is {settings.max_prompt_tokens}")
    num_tokens = checks.count_path_tokens(question.reference_path)
    if num_tokens > settings.max_path_tokens:
        return _reject(record, "path_too_long", f"{num_tokens} tokens; the limit is {settings.max_path_tokens}")
    if first := accepted.get(question.id):
        return _reject(record, "duplicate", f"the same question about the same picture as {first}")
    accepted[question.id] = f"{record.source}, row {record.row}"
    return question


def _question(one: _Candidate, image: CheckedImage) -> Question:
    return Question(
        id=question_id(one.wording, image.pixel_sha256),
        source=one.record.source,
        image=image.path,
        image_sha256=image.file_sha256,
        text=one.wording.text,
        choices=one.wording.choices,
        answer=one.answer,
        reference_path=one.record.assistant.strip(),
    )


def _reject(record: RawRecord, reason: str, detail: str) -> Rejected:
    return Rejected(record.source, record.row, reason, detail, record.raw)
