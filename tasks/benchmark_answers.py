"""The child of `r1vl eval`: a policy answers its process's part of the questions, batch by batch."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1vl_core.data.images import PictureError, open_image
from r1vl_core.data.responses import ResponseRow
from r1vl_core.evaluation.benchmarks.tsv import read_pictures
from r1vl_core.report import Report
from tasks.answer_files import AnswerFile, read_answers
from tasks.launch import write_report

if TYPE_CHECKING:
    from PIL import Image

    from r1vl_core.evaluation.answering import Answered, Asked
    from tasks.trainer import Work

QUESTIONS = "questions.jsonl"
TOKENS_AT_ONCE = {"cpu": 16_384, "cuda": 262_144}
"""Prompts and responses of a batch together; on a GPU it is halved where that is too much."""

PICTURE_BYTES_AT_ONCE = {"cpu": 2**27, "cuda": 2**28}
"""Pictures held and looked at together, as the model takes them: on a CPU many large ones at once are no faster than a few."""

_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class AskedText:
    """A row that is to be answered, and the whole text it is asked with.

    >>> AskedText("mme", "0", "Is it so?").index
    '0'
    """

    benchmark: str
    index: str
    text: str


def write_questions(folder: Path, questions: Sequence[AskedText]) -> None:
    """Write what is asked, in order, for the processes that answer."""
    lines = "".join(json.dumps(asdict(question)) + "\n" for question in questions)
    (folder / QUESTIONS).write_text(lines, encoding="ascii")


def read_questions(folder: Path) -> list[AskedText]:
    """What `write_questions` wrote."""
    return [AskedText(**json.loads(line)) for line in (folder / QUESTIONS).read_text(encoding="ascii").splitlines()]


def with_pictures(questions: Sequence[AskedText], files: Mapping[str, str]) -> Iterator[tuple[AskedText, tuple[bytes, ...]]]:
    """Each question with its encoded pictures, file after file, a row at a time. Raises ValueError for a file that is malformed."""
    for name, path in files.items():
        wanted = {question.index: question for question in questions if question.benchmark == name}
        if wanted:
            for index, pictures in read_pictures(Path(path), wanted):
                yield wanted[index], pictures


def opened(question: AskedText, pictures: Sequence[bytes], max_pixels: int) -> list[Image.Image]:
    """A question's pictures, opened as training opens pictures. Raises ValueError naming the row."""
    try:
        return [open_image(picture, max_pixels) for picture in pictures]
    except PictureError as error:
        raise ValueError(f"{question.benchmark}, row {question.index!r}, column 'image': {error.detail}") from None


def check_pictures(questions: Sequence[AskedText], files: Mapping[str, str], max_pixels: int) -> None:
    """Decode every picture that will be shown, one at a time, each once. Raises ValueError naming the row and the column of a broken one.

    A model that takes minutes to load, or money to ask, is not begun for a file that cannot be answered to its end.
    """
    seen: set[bytes] = set()
    for question, pictures in with_pictures(questions, files):
        unseen = {hashlib.sha256(picture).digest(): picture for picture in pictures}
        opened(question, [picture for digest, picture in unseen.items() if digest not in seen], max_pixels)
        seen.update(unseen)


def compute(work: Work) -> None:
    """In the child: answer what no process has answered yet of this one's part."""
    from r1vl_core.evaluation.answering import Asked, answer
    from r1vl_core.evaluation.decoding import Decoding

    questions, process, num_processes = read_questions(work.work_dir), work.accelerator.process_index, work.accelerator.num_processes
    cuts = [len(questions) * number // num_processes for number in (process, process + 1)]  # side by side: they may share pictures
    mine, done = questions[cuts[0] : cuts[1]], read_answers(work.work_dir)
    left = [question for question in mine if (question.benchmark, question.index) not in done]
    by_key = {json.dumps([question.benchmark, question.index]): question for question in left}
    policy, started, num_done = work.policy(work.order["policy"]), time.monotonic(), 0

    def asked() -> Iterator[Asked]:
        for question, pictures in with_pictures(left, work.order["files"]):
            yield Asked(json.dumps([question.benchmark, question.index]), question.text, pictures)

    def decode(question: Asked) -> list[Image.Image]:
        return opened(by_key[question.key], question.pictures, work.preset.curate.max_image_pixels)

    decoding, budget = Decoding(**work.order["decoding"]), work.runtime.token_budget or TOKENS_AT_ONCE[work.device]
    window = PICTURE_BYTES_AT_ONCE[work.device]
    with AnswerFile(work.work_dir, process) as file:
        for batch in answer(policy, asked(), decoding, decode=decode, token_budget=budget, window_bytes=window):
            file.append(_rows(by_key[one.key], one) for one in batch)
            num_done += len(batch)
            rate = num_processes * num_done / (time.monotonic() - started)
            share = (len(mine) - len(left) + num_done) / len(mine)
            write_report(Report(round(share * len(questions)), len(questions), {"questions_per_second": rate}))
            if work.should_stop():
                return
    _wait_for_others(work, process, num_processes)


def _rows(question: AskedText, one: Answered) -> list[ResponseRow]:
    parts = zip(one.responses, one.nums_tokens, one.truncated, strict=True)
    return [ResponseRow(question.benchmark, question.index, sample, *part) for sample, part in enumerate(parts)]


def _wait_for_others(work: Work, process: int, num_processes: int) -> None:
    """Parts may differ by hours, and a collective call does not wait that long; when a process dies, its launcher ends the others."""
    marks: list[Any] = [work.out / f"answered-{number}" for number in range(num_processes)]
    marks[process].touch()
    while not all(mark.exists() for mark in marks) and not work.should_stop():
        time.sleep(_LOOK_S)
