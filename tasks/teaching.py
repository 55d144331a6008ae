"""A teacher at work for the key_steps stage: its key, its cache, whose turn it is, and what is told of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from r1vl_core.config import ChatService, Preset, Teacher
from r1vl_core.data.teacher.batch import Service, Standing, teach_all
from r1vl_core.data.teacher.budget import TeacherStopped
from r1vl_core.data.teacher.cache import AnswerCache, opened
from r1vl_core.data.teacher.calls import CallLog
from r1vl_core.data.teacher.lesson import Lesson
from r1vl_core.records import Question
from r1vl_core.report import Report
from tasks.launch import StageStopped
from tasks.locks import locked
from tasks.stages import Build

_REPORT_EVERY_S = 2.0
_LOG_EVERY_S = 30.0


def teach_in_stage(job: Build, questions: Sequence[Question], log: CallLog) -> list[Lesson]:
    """A lesson for each question, every call noted in `log`; the lessons come back without their calls.

    Raises StageStopped when the budget is spent or the service is out; what was paid for is kept, and a rerun goes on.
    """
    dials = job.preset.key_steps
    lessons: list[Lesson | None] = [None] * len(questions)

    def note(place: int, lesson: Lesson) -> None:
        log.add(place, questions[place], lesson)
        lessons[place] = Lesson(lesson.key_steps, reason=lesson.reason, detail=lesson.detail)

    stopped = ""
    try:
        with open_cache(job.runtime.root, job.log) as cache:
            teach_all(questions, service(teacher_of(job.preset), job.recipe.key), cache, dials.max_key_steps, note, _teller(job))
    except TeacherStopped as stop:
        stopped = str(stop)
    if stopped:
        raise StageStopped(f"key_steps: {stopped}")
    return [lesson for lesson in lessons if lesson is not None]


def teacher_of(preset: Preset) -> Teacher:
    """The preset's teacher. Raises ValueError where it has none."""
    teacher = preset.key_steps.teacher
    if teacher is None:
        raise ValueError(f'preset {preset.name} has no teacher; add [key_steps.teacher] with base_url and model, and extractor = "teacher"')
    return teacher


def service(dials: ChatService, scope: str) -> Service:
    """Whom to ask on whose account. The key is read here, from the environment, and nowhere else. Raises ValueError for a broken one."""
    key = os.environ.get(dials.KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError(f"{dials.KEY_VARIABLE} holds a character that no key has (a blank or a line end within, or no ASCII); set it anew")
    return Service(dials, key, scope)


@contextmanager
def open_cache(root: Path, log: Callable[[str], None], role: str = "teacher") -> Iterator[AnswerCache]:
    """The root's cache of a service's answers, for one writer at a time: who comes second waits, and says for whom."""
    with (
        locked(root / "locks" / f"{role}.lock", lambda holder: log(f"{holder} is asking the {role}; waiting for it to end")),
        opened(root / f"{role}.duckdb") as cache,
    ):
        yield cache


def progress(standing: Standing) -> str:
    """One line on how far the teacher is.

    >>> from r1vl_core.data.teacher.budget import Tokens
    >>> progress(Standing(50, 200, Tokens(100_000, 20_000), 0.2, 5.0))
    '50/200 questions · 5.0 a second · 120,000 tokens · cost 0.2 · 30 s left'
    """
    left = f"{standing.seconds_left:.0f} s left" if standing.seconds_left < 600 else f"{standing.seconds_left / 60:.0f} min left"
    return " · ".join(
        [
            f"{standing.done:,}/{standing.total:,} questions",
            f"{standing.rate:.1f} a second",
            f"{standing.spent.total:,} tokens{'' if standing.counted else ' at most (the service counts none)'}",
            f"cost {standing.cost:.4g}",
            left,
        ]
    )


def _teller(job: Build) -> Callable[[Standing], None]:
    told = {"report": float("-inf"), "log": time.monotonic()}

    def tell(standing: Standing) -> None:
        now, last = time.monotonic(), standing.done == standing.total
        if now - told["report"] >= _REPORT_EVERY_S or last:
            told["report"] = now
            metrics = {"cost": standing.cost, "tokens": float(standing.spent.total), "questions_per_second": standing.rate}
            job.on_report(Report(standing.done, standing.total, metrics))
        if now - told["log"] >= _LOG_EVERY_S or last:
            told["log"] = now
            job.log(progress(standing))

    return tell
