"""One thing talked over with a service: answers in their shape, with one round of repair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from r1vl_core.data.teacher.answers import Shape, read_answer
from r1vl_core.data.teacher.asking import Asker, Call, NoAnswer
from r1vl_core.data.teacher.cache import Answer
from r1vl_core.prompts import render_prompt

_MAX_REPEATED = 4000  # characters of an unusable answer that it is shown again


class Failed(Exception):
    """No answer that can be used; `reason` is unreachable, refused_request, refused, invalid_answer or the caller's own."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass
class Talk:
    """The calls about one thing, in order."""

    asker: Asker
    calls: list[Call] = field(default_factory=list)

    async def ask(self, prompt: str, shape: type[Shape], check: Callable[[Shape], None] = lambda answer: None, **slots: str) -> Shape:
        """An answer in its shape, with one round of repair. Raises Failed where there is none."""
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
        raise Failed("invalid_answer", f"{prompt}: {problem}")

    async def _answer(self, template: str, messages: list[dict[str, str]]) -> Answer:
        try:
            call = await self.asker.ask(template, messages)
        except NoAnswer as none:
            raise Failed(none.reason, str(none)) from None
        self.calls.append(call)
        if call.answer.finish == "refusal":
            raise Failed("refused", call.answer.text[:200])
        return call.answer
