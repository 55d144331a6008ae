"""One question with a teacher: extract the key steps, refine each to its core, augment it with equivalent forms (paper, section 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from r1vl_core.data.teacher.answers import Forms, Shape, Steps, read_answer
from r1vl_core.data.teacher.asking import Asker, Call, NoAnswer
from r1vl_core.data.teacher.checks import Dropped, check_cores, check_forms
from r1vl_core.prompts import render_prompt
from r1vl_core.reasoning.paths import parse
from r1vl_core.records import Question, asked

PROMPTS = ("extract", "refine", "augment", "repair")
"""Every template that a teacher is sent."""

NUM_CALLS = 3
"""Calls that a question takes when every answer is in shape."""

_MAX_TEACHER_FORMS = 6
_MAX_REPEATED = 4000  # characters of an unusable answer that it is shown again


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


class _Failed(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


async def teach(question: Question, asker: Asker, max_key_steps: int) -> Lesson:
    """A question's key steps by the teacher; every one of them stands in the reference path. Raises as `Asker.ask` for the whole job."""
    talk = _Talk(asker)
    try:
        key_steps = await _key_steps(question, talk, max_key_steps)
    except _Failed as failed:
        return Lesson((), tuple(talk.calls), tuple(talk.dropped), failed.reason, str(failed))
    return Lesson(key_steps, tuple(talk.calls), tuple(talk.dropped))


async def _key_steps(question: Question, talk: _Talk, max_key_steps: int) -> tuple[tuple[str, ...], ...]:
    text, path = asked(question.text, question.choices), question.reference_path
    found = await talk.ask("extract", Steps, max_key_steps=str(max_key_steps), question=text, path=path)
    if not found.key_steps:
        raise _Failed("no_key_steps", "the teacher found none")
    refined = await talk.ask("refine", Steps, key_steps=_numbered(found.key_steps), path=path)
    cores, dropped = check_cores(refined.key_steps, parse(path), max_key_steps)
    talk.dropped += dropped
    if not cores:
        raise _Failed("no_key_steps", f"none of {len(refined.key_steps)} stood: {', '.join(sorted({one.reason for one in dropped}))}")

    def as_many(answer: Forms) -> None:
        if len(answer.forms) != len(cores):
            raise ValueError(f"forms holds {len(answer.forms)} lists for {len(cores)} key steps; give one list for each")

    forms = await talk.ask("augment", Forms, as_many, key_steps=_numbered(cores), max_forms=str(_MAX_TEACHER_FORMS))
    key_steps, dropped = check_forms(cores, forms.forms)
    talk.dropped += dropped
    return key_steps


@dataclass
class _Talk:
    """The calls about one question."""

    asker: Asker
    calls: list[Call] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)

    async def ask(self, prompt: str, shape: type[Shape], check: Callable[[Shape], None] = lambda answer: None, **slots: str) -> Shape:
        """An answer in its shape, with one round of repair. Raises _Failed where there is none."""
        messages = [{"role": "user", "content": render_prompt(prompt, **slots)}]
        problem = ""
        for template in (prompt, "repair"):
            if problem:
                said = self.calls[-1].answer.text[:_MAX_REPEATED]
                repair = {"role": "user", "content": render_prompt(template, problem=problem)}
                messages = [*messages, {"role": "assistant", "content": said}, repair]
            answer = await self._answer(template, messages)
            try:
                found = read_answer(answer, shape)
                check(found)
            except ValueError as error:
                problem = str(error)
            else:
                return found
        raise _Failed("invalid_answer", f"{prompt}: {problem}")

    async def _answer(self, template: str, messages: list[dict[str, str]]) -> Any:
        try:
            call = await self.asker.ask(template, messages)
        except NoAnswer as none:
            raise _Failed(none.reason, str(none)) from None
        self.calls.append(call)
        if call.answer.finish == "refusal":
            raise _Failed("refused", call.answer.text[:200])
        return call.answer


def _numbered(key_steps: list[str]) -> str:
    return "\n".join(f"{number}. {key_step}" for number, key_step in enumerate(key_steps, 1))
