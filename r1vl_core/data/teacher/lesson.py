"""One question with a teacher: extract the key steps, refine each to its core, augment it with equivalent forms (paper, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

from r1vl_core.data.teacher.answers import Forms, Steps
from r1vl_core.data.teacher.asking import Asker, Call
from r1vl_core.data.teacher.checks import Dropped, check_cores, check_forms
from r1vl_core.data.teacher.talk import Failed, Talk
from r1vl_core.reasoning.paths import parse
from r1vl_core.records import Question, asked

PROMPTS = ("extract", "refine", "augment", "repair")
"""Every template that a teacher is sent."""

NUM_CALLS = 3
"""Calls that a question takes when every answer is in shape."""

_MAX_TEACHER_FORMS = 6


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a teacher made of one question: its key steps, or the `reason` why there are none; the calls it took, and what fell.

    >>> Lesson((), reason="refused", detail="I cannot help with that").key_steps
    ()
    """

    key_steps: tuple[tuple[str, ...], ...]
    calls: tuple[Call, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    reason: str = ""
    detail: str = ""


async def teach(question: Question, asker: Asker, max_key_steps: int) -> Lesson:
    """A question's key steps by the teacher; every one of them stands in the reference path. Raises as `Asker.ask` for the whole job."""
    talk, dropped = Talk(asker), list[Dropped]()
    try:
        key_steps = await _key_steps(question, talk, dropped, max_key_steps)
    except Failed as failed:
        return Lesson((), tuple(talk.calls), tuple(dropped), failed.reason, str(failed))
    return Lesson(key_steps, tuple(talk.calls), tuple(dropped))


async def _key_steps(question: Question, talk: Talk, dropped: list[Dropped], max_key_steps: int) -> tuple[tuple[str, ...], ...]:
    text, path = asked(question.text, question.choices), question.reference_path
    found = await talk.ask("extract", Steps, max_key_steps=str(max_key_steps), question=text, path=path)
    if not found.key_steps:
        raise Failed("no_key_steps", "the teacher found none")
    refined = await talk.ask("refine", Steps, key_steps=_numbered(found.key_steps), path=path)
    cores, fallen = check_cores(refined.key_steps, parse(path), max_key_steps)
    dropped += fallen
    if not cores:
        raise Failed("no_key_steps", f"none of {len(refined.key_steps)} stood: {', '.join(sorted({one.reason for one in fallen}))}")

    def as_many(answer: Forms) -> None:
        if len(answer.forms) != len(cores):
            raise ValueError(f"forms holds {len(answer.forms)} lists for {len(cores)} key steps; give one list for each")

    forms = await talk.ask("augment", Forms, as_many, key_steps=_numbered(cores), max_forms=str(_MAX_TEACHER_FORMS))
    key_steps, fallen = check_forms(cores, forms.forms)
    dropped += fallen
    return key_steps


def _numbered(key_steps: list[str]) -> str:
    return "\n".join(f"{number}. {key_step}" for number, key_step in enumerate(key_steps, 1))
