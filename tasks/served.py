"""A served model answers benchmark questions: an OpenAI-compatible chat API with pictures, a few requests at a time."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from r1vl_core.config import ServedModel
from r1vl_core.data.images import PictureError, open_image
from r1vl_core.data.responses import ResponseRow
from r1vl_core.data.teacher.asking import MAX_PAUSE_S
from r1vl_core.data.teacher.budget import TeacherStopped
from r1vl_core.data.teacher.endpoint import Busy, ChatEndpoint, Completion, NotThere, Refused, connected, not_there
from r1vl_core.data.teacher.pace import Pace, backoff, longest_wait
from r1vl_core.evaluation.decoding import Decoding
from r1vl_core.report import Report
from tasks.answer_files import AnswerFile, read_answers
from tasks.benchmark_answers import AskedText, with_pictures
from tasks.launch import WARNING
from tasks.stages import Build

if TYPE_CHECKING:
    from tasks.benchmarks import Served


class ModelStopped(OSError):
    """The evaluation cannot go on now: the service does not answer, or has no credit. Every answer is kept; a rerun goes on."""


def answer_all(
    job: Build,
    served: Served,
    questions: Sequence[AskedText],
    files: Mapping[str, str],
    decoding: Decoding,
) -> None:
    """Have every question answered that no file of the scratch holds an answer to; a row is kept as soon as its samples are there.

    Raises ModelStopped when the service is out, OSError when the disk is full, ValueError for what the user must mend.
    """
    done = read_answers(job.work)
    left = [question for question in questions if (question.benchmark, question.index) not in done]
    waiting = with_pictures(left, files)
    dials = served.dials.model_copy(update={"max_answer_tokens": decoding.max_new_tokens})
    with AnswerFile(job.work, 0) as file:
        asking = _Asking(job, dials, decoding, file, len(questions) - len(left), len(questions))
        asyncio.run(asking.ask(waiting, served.key, min(dials.concurrency, len(left))))
    if asking.problem is not None:
        raise asking.problem


class _Asking:
    """Questions asked, a few at a time, and their answers written; `problem` is what ended it before its time."""

    def __init__(self, job: Build, dials: ServedModel, decoding: Decoding, file: AnswerFile, num_done: int, num_questions: int) -> None:
        self._job, self._dials, self._decoding, self._file = job, dials, decoding, file
        self._num_done, self._num_questions = num_done, num_questions
        self._patience = _Patience(dials, Pace(dials.concurrency), job.log)
        self.problem: OSError | ValueError | None = None

    async def ask(self, waiting: Iterator[tuple[AskedText, Sequence[bytes]]], key: str, num_at_once: int) -> None:
        """Every question that waits; all who ask take from the same."""
        async with connected(self._dials, key) as endpoint, asyncio.TaskGroup() as group:
            for _ in range(num_at_once):
                group.create_task(self._work(endpoint, waiting))

    async def _work(self, endpoint: ChatEndpoint, waiting: Iterator[tuple[AskedText, Sequence[bytes]]]) -> None:
        try:
            for question, pictures in waiting:
                await self._answer(endpoint, question, pictures)
                if self.problem is not None:
                    return
        except (OSError, ValueError) as problem:  # a full disk, too; the others end what they have begun: it is paid for
            self.problem = self.problem or problem

    async def _answer(self, endpoint: ChatEndpoint, question: AskedText, pictures: Sequence[bytes]) -> None:
        decoding, messages = self._decoding, messages_of(question, pictures, self._job.preset.curate.max_image_pixels)
        fields = [_fields(self._dials, decoding, number) for number in range(decoding.num_samples)]
        drawn = [await self._patience.answered(endpoint, messages, one) for one in fields]
        self._file.append([[_row(question, sample, completion) for sample, completion in enumerate(drawn)]])
        self._num_done += 1
        self._job.on_report(Report(self._num_done, self._num_questions, {}))


def messages_of(question: AskedText, pictures: Sequence[bytes], max_pixels: int) -> list[dict[str, Any]]:
    """The one message of a question: its pictures, as they are in the file, then its text. Raises ValueError for what is no picture."""
    shown = [{"type": "image_url", "image_url": {"url": url}} for url in _urls(question, pictures, max_pixels)]
    return [{"role": "user", "content": [*shown, {"type": "text", "text": question.text}]}]


def _urls(question: AskedText, pictures: Sequence[bytes], max_pixels: int) -> Iterator[str]:
    for picture in pictures:
        try:
            open_image(picture, max_pixels)
        except PictureError as error:
            raise ValueError(f"{question.benchmark}, row {question.index!r}, column 'image': {error.detail}") from None
        with Image.open(io.BytesIO(picture)) as image:
            kind = Image.MIME[str(image.format)]
        yield f"data:{kind};base64,{base64.b64encode(picture).decode('ascii')}"


class _Patience:
    """How long a service is waited for: not at all before its first answer where nothing listens, else a few attempts a question, of
    which the second to fail in a row is told."""

    def __init__(self, dials: ServedModel, pace: Pace, log: Callable[[str], None]) -> None:
        self._dials, self._pace, self._log = dials, pace, log
        self._has_answered = self._is_told = False

    async def answered(self, endpoint: ChatEndpoint, messages: list[dict[str, Any]], sampling: Mapping[str, Any]) -> Completion:
        """One response. Raises ModelStopped, and ValueError for a request that is refused."""
        dials, problem = self._dials, ""
        for attempt in range(1, dials.max_attempts + 1):
            async with self._pace.slot() as began:
                try:
                    completion = await endpoint.complete(messages, sampling)
                except Busy as busy:
                    problem, pause = self._look_at(busy, attempt), busy.pause
                    self._pace.pushed_back(began, pause)
                except TeacherStopped as stopped:
                    raise ModelStopped(str(stopped)) from None
                except Refused as refused:
                    raise ValueError(f"the {dials.ROLE} {dials.model} refuses a request: {refused}; see what it takes") from None
                else:
                    self._pace.succeeded()
                    self._has_answered, self._is_told = True, False
                    return completion
            if pause is None and attempt < dials.max_attempts:
                await self._pace.sleep(backoff(attempt))
        raise ModelStopped(
            f"the {dials.ROLE} at {dials.base_url} does not answer ({problem}, {dials.max_attempts} attempts); "
            "every answer is kept: run again to go on"
        )

    def _look_at(self, busy: Busy, attempt: int) -> str:
        """What is wrong. Raises ModelStopped where waiting is no use, or would be long."""
        dials, problem = self._dials, str(busy)
        if isinstance(busy, NotThere) and not self._has_answered:
            raise ModelStopped(not_there(dials, problem)) from None
        if busy.pause is not None and busy.pause > MAX_PAUSE_S:
            raise ModelStopped(
                f"the {dials.ROLE} asks to wait {busy.pause:.0f} s ({problem}); every answer is kept: run again then"
            ) from None
        if attempt > 1 and not self._is_told:
            self._is_told = True
            wait = f"for up to {longest_wait(attempt, dials.max_attempts):.0f} s" if busy.pause is None else f"in {busy.pause:.0f} s"
            self._log(f"{WARNING}the {dials.ROLE} at {dials.base_url} does not answer ({problem}); it is asked again {wait}")
        return problem


def _fields(dials: ServedModel, decoding: Decoding, sample: int) -> dict[str, Any]:
    """How a response is sampled, and what else is asked for; a field that is null there is not sent at all: some services refuse them."""
    sampling = {"temperature": 0.0}
    if decoding.temperature is not None:
        sampling = {"temperature": decoding.temperature, "seed": decoding.seed + sample}
    return {**sampling, **dials.request}


def _row(question: AskedText, sample: int, completion: Completion) -> ResponseRow:
    num_tokens = completion.tokens.answered if completion.tokens else None
    return ResponseRow(question.benchmark, question.index, sample, completion.text, num_tokens, completion.finish == "length")
