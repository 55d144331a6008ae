"""Curation: every record becomes exactly one of a question or a rejected row with one named reason.

A record is held against the checks below in this order and rejected by the first that it fails; so accepted + rejected = read, and
which reason a record gets depends on nothing but the record, the settings, the held-out set and, for duplicates alone, the records
accepted before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from r1vl_core.config import Curate, Source
from r1vl_core.data.image_checker import ImageChecker, ImageMemory
from r1vl_core.data.images import CheckedImage, ImageLimits, ImageProblem, PictureError, digest_pixels, open_image
from r1vl_core.data.near_duplicates import HeldOut, HeldOutSet, Seen
from r1vl_core.data.perceptual import perceptual_hash
from r1vl_core.data.shards import MapShards, Processes
from r1vl_core.data.sources import judge_sources
from r1vl_core.data.text_checks import Candidate, Judged, TextChecks, judge_records, reject
from r1vl_core.data.token_bounds import PathTokens
from r1vl_core.data.wording import normalise, split_wording
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
    "answer_mismatch",
    "other_language",
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
    "near_duplicate",
)
"""Why a record is rejected, in the order the checks are made."""

CountPromptTokens = Callable[[Question, int, int], int]
"""Tokens of the whole prompt for a question whose picture has this width and height in pixels."""

CountPathTokens = Callable[[str], int]
"""Tokens of a reference path, its end token included."""

_BATCH_RECORDS = 4096
# What a question may add to a prompt beyond its bytes: where it touches the template, tokens may fall otherwise.
_SEAM_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Checks:
    """What every record is held against: the settings, each source's image folder, the policy's own tokenizer, the held-out set.

    `tokenizer_json` spares most texts the count, see `PathTokens`; without it every one is counted.

    >>> Checks(Curate(), {"world": Path("images")}, lambda question, width, height: 80, lambda path: 120).held_out
    ()
    """

    settings: Curate
    image_roots: Mapping[str, Path]
    count_prompt_tokens: CountPromptTokens
    count_path_tokens: CountPathTokens
    held_out: Sequence[HeldOut] = ()
    tokenizer_json: str = ""

    @property
    def text_checks(self) -> TextChecks:
        """The checks that workers make."""
        settings = self.settings
        path_tokens = PathTokens(self.tokenizer_json, settings.max_path_tokens) if self.tokenizer_json else None
        return TextChecks(settings.language, settings.near_duplicates > 0, path_tokens)


def curate(
    sources: Sequence[Source],
    checks: Checks,
    *,
    num_workers: int = 1,
    memory: ImageMemory | None = None,
    map_shards: MapShards | None = None,
) -> Iterator[Question | Rejected]:
    """One outcome for each record of the sources, in order. `num_workers` processes, or `map_shards`, check texts and decode the pictures
    that `memory` does not know.

    Memory holds a batch of records, and of what was accepted so far the ids and texts. Raises ValueError as `read_records` does.
    """
    with Processes(num_workers) as processes:
        through = map_shards or processes.map
        yield from _settle(judge_sources(sources, checks.text_checks, through), checks, memory, through)


def judge(
    records: Iterable[RawRecord],
    checks: Checks,
    *,
    num_workers: int = 1,
    memory: ImageMemory | None = None,
    map_shards: MapShards | None = None,
) -> Iterator[Question | Rejected]:
    """As `curate`, of records that are there already: their texts are checked here."""
    iterator, text_checks = iter(records), checks.text_checks
    batches = iter(lambda: judge_records(islice(iterator, _BATCH_RECORDS), text_checks), [])
    with Processes(num_workers) as processes:
        yield from _settle(batches, checks, memory, map_shards or processes.map)


def held_out_questions(rows: Iterable[BenchmarkRow], max_pixels: int, file: str = "the held-out set") -> list[HeldOut]:
    """What curation needs to know of an evaluation file. Raises ValueError naming a row whose picture does not decode."""
    found = []
    for row in rows:
        image = open_held_out(row, max_pixels)
        found.append(HeldOut(normalise(split_wording(row.question).text), digest_pixels(image), perceptual_hash(image), file))
    return found


def open_held_out(row: BenchmarkRow, max_pixels: int) -> Image.Image:
    """A held-out row's picture, opened as training opens pictures (orientation, transparency, depth). Raises ValueError naming the row."""
    try:
        return open_image(row.image, max_pixels)
    except PictureError as error:
        raise ValueError(f"held-out row {row.index!r}: its picture: {error.detail}") from None


def question_id(identity: str, pixel_sha256: str) -> str:
    """A question's id: 16 hex digits made of its normalised text, its choices and its picture's pixels, wherever they came from."""
    return hashlib.sha256(f'{identity}, "{pixel_sha256}"]'.encode()).hexdigest()[:16]


@dataclass(slots=True)
class _State:
    """What the checks of a candidate know of the records before it."""

    held_out: HeldOutSet
    seen: Seen
    accepted: dict[str, str] = field(default_factory=dict)
    """A question's id to where it was read."""
    prompt_overhead: dict[tuple[int, int], int] = field(default_factory=dict)
    """Tokens of a prompt with a short question, by the picture's size."""


def _settle(
    batches: Iterable[Sequence[Judged]], checks: Checks, memory: ImageMemory | None, map_shards: MapShards
) -> Iterator[Question | Rejected]:
    settings = checks.settings
    near = (settings.near_duplicates, settings.near_picture_bits)
    state = _State(HeldOutSet(checks.held_out if settings.contamination else (), *near, settings.contaminated_by), Seen(*near))
    limits = ImageLimits(settings.min_image_side, settings.max_image_pixels)
    with ImageChecker(limits, memory=memory, map_shards=map_shards) as checker:
        for batch in _joined(batches):
            images = _check_images(checker, checks.image_roots, [one for one in batch if isinstance(one, Candidate)])
            for one in batch:
                yield one if isinstance(one, Rejected) else _judge_candidate(one, images[one.source, one.image], checks, state)


def _joined(batches: Iterable[Sequence[Judged]]) -> Iterator[list[Judged]]:
    """Batches large enough that a picture shown by many records is looked at once, and that processes share the pictures evenly."""
    joined: list[Judged] = []
    for batch in batches:
        joined += batch
        if len(joined) >= _BATCH_RECORDS:
            yield joined
            joined = []
    if joined:
        yield joined


def _check_images(
    checker: ImageChecker, roots: Mapping[str, Path], candidates: Sequence[Candidate]
) -> dict[tuple[str, str], CheckedImage | ImageProblem]:
    """Each picture of a batch once, however many records show it."""
    wanted = list(dict.fromkeys((one.source, one.image) for one in candidates))
    return dict(zip(wanted, checker.check([(roots[source], image) for source, image in wanted]), strict=True))


def _judge_candidate(one: Candidate, image: CheckedImage | ImageProblem, checks: Checks, state: _State) -> Question | Rejected:
    """The checks that need the picture, the tokenizer (nothing is ever cut to fit) and, last, the questions accepted before."""
    if isinstance(image, ImageProblem):
        return reject(one, image.reason, f"{image.path!a:.80}: {image.detail}")
    if what := state.held_out.find(one.normalised, one.sketch, image.pixel_sha256, image.phash):
        return reject(one, "contaminated", what)
    question = _question(one, image)
    return _too_long(one, question, image, checks, state) or _repeated(one, image, question, checks, state) or question


def _too_long(one: Candidate, question: Question, image: CheckedImage, checks: Checks, state: _State) -> Rejected | None:
    limit = checks.settings.max_prompt_tokens
    if not _prompt_surely_fits(question, image, checks, state):
        num_tokens = checks.count_prompt_tokens(question, image.width, image.height)
        if num_tokens > limit:
            return reject(one, "prompt_too_long", f"{num_tokens} tokens; the limit is {limit}")
    limit = checks.settings.max_path_tokens
    if not one.is_short and (num_tokens := checks.count_path_tokens(question.reference_path)) > limit:
        return reject(one, "path_too_long", f"{num_tokens} tokens; the limit is {limit}")
    return None


def _prompt_surely_fits(question: Question, image: CheckedImage, checks: Checks, state: _State) -> bool:
    """Whether a prompt keeps the limit even if every byte of the question were a token of its own."""
    if not checks.tokenizer_json:
        return False
    size = (image.width, image.height)
    if size not in state.prompt_overhead:
        state.prompt_overhead[size] = checks.count_prompt_tokens(replace(question, text="?", choices=()), *size)
    texts = (question.text, *(part for choice in question.choices for part in choice))
    # Normal forms, which tokenizers make first, are at most three times as long; two marks and a line end stand around each choice.
    num_bytes = sum((len(text) if text.isascii() else 3 * len(text.encode())) + 2 for text in texts)
    return state.prompt_overhead[size] + num_bytes + _SEAM_TOKENS <= checks.settings.max_prompt_tokens


def _repeated(one: Candidate, image: CheckedImage, question: Question, checks: Checks, state: _State) -> Rejected | None:
    """Reject a question asked before; any other is remembered."""
    if first := state.accepted.get(question.id):
        return reject(one, "duplicate", f"the same question about the same picture as {first}")
    place = f"{one.source}, row {one.row}"
    if checks.settings.near_duplicates:
        rest = f"{question.choices} {normalise(question.answer)}"
        if first := state.seen.find(one.normalised, one.sketch, image.phash, rest):
            return reject(one, "near_duplicate", f"nearly the same question about nearly the same picture as {first}")
        state.seen.add(one.normalised, one.sketch, image.phash, rest, place)
    state.accepted[question.id] = place
    return None


def _question(one: Candidate, image: CheckedImage) -> Question:
    return Question(
        id=question_id(one.identity, image.pixel_sha256),
        source=one.source,
        image=image.path,
        image_sha256=image.file_sha256,
        text=one.text,
        choices=one.choices,
        answer=one.answer,
        reference_path=one.reference_path,
        key_steps=one.key_steps,
        source_id=one.source_id,
    )
