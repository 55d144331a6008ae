"""Many questions with one teacher: a few at a time, in any order, the results in the questions' own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import Any, TypeVar

from r1vl_core.config import ChatService
from r1vl_core.data.teacher.asking import Asker
from r1vl_core.data.teacher.budget import TeacherStopped, Tokens
from r1vl_core.data.teacher.cache import AnswerCache
from r1vl_core.data.teacher.endpoint import connected
from r1vl_core.data.teacher.lesson import Lesson, teach
from r1vl_core.data.teacher.pace import Pace
from r1vl_core.recent_rate import RecentRate
from r1vl_core.records import Question

_USELESS_AT_FIRST = 20

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a batch is: questions done of all, tokens and money spent by this recipe so far, questions a second of late.
    Where the service does not count its tokens (`counted`), those spent are the most that they can have been.

    >>> Standing(50, 200, Tokens(1000, 10), 0.5, 5.0).seconds_left
    30.0
    """

    done: int
    total: int
    spent: Tokens
    cost: float
    rate: float
    counted: bool = True

    @property
    def seconds_left(self) -> float:
        """Seconds to go at this rate; infinite while there is none."""
        return (self.total - self.done) / self.rate if self.rate else float("inf")


@dataclass(frozen=True, slots=True)
class Service:
    """Who is asked, with which key (kept out of every text), on whose account: `scope` is the recipe that pays.

    >>> from r1vl_core.config import Teacher
    >>> Service(Teacher(base_url="http://127.0.0.1:8000/v1", model="m"), "secret", "3f2a")
    Service(model='m', scope='3f2a')
    """

    dials: ChatService
    key: str
    scope: str
    pace: Pace | None = None

    def __repr__(self) -> str:
        return f"Service(model={self.dials.model!r}, scope={self.scope!r})"


def teach_all(
    questions: Sequence[Question],
    service: Service,
    cache: AnswerCache,
    max_key_steps: int,
    on_lesson: Callable[[int, Lesson], None],
    on_progress: Callable[[Standing], None] = lambda standing: None,
) -> None:
    """Teach every question; `on_lesson` hears each lesson as it ends, with the question's place. As `ask_about_all`.

    Raises TeacherStopped as well when the first questions that are paid for all come to nothing: another model, or other settings, and
    not the questions, are what is wrong then.
    """
    useless, any_good = count(1), False

    async def lesson(question: Question, asker: Asker) -> Lesson:
        nonlocal any_good
        taught = await teach(question, asker, max_key_steps)
        any_good = any_good or not taught.reason
        paid = any(not call.cached for call in taught.calls)
        if not any_good and paid and next(useless) >= _USELESS_AT_FIRST:
            raise TeacherStopped(_comes_to_nothing(service.dials, taught))
        return taught

    ask_about_all(questions, lesson, service, cache, on_lesson, on_progress)


def ask_about_all(
    items: Sequence[Item],
    work_on: Callable[[Item, Asker], Awaitable[Result]],
    service: Service,
    cache: AnswerCache,
    on_result: Callable[[int, Result], None],
    on_progress: Callable[[Standing], None] = lambda standing: None,
) -> None:
    """Ask about every item; `on_result` hears what comes of each as it ends, with the item's place, and `on_progress` how far all are.

    Raises TeacherStopped when the budget is spent or the service is out, after the calls under way have ended and are kept;
    ValueError for what the user must mend, OSError where answers cannot be kept.
    """

    stops: list[TeacherStopped] = []

    async def run() -> None:
        rate = RecentRate(monotonic())
        async with connected(service.dials, service.key) as endpoint:
            asker = Asker(service.dials, endpoint, cache, service.scope, service.pace)
            waiting = iter(enumerate(items))  # shared by all that work
            done = count(1)

            async def work() -> None:
                try:
                    for place, item in waiting:
                        on_result(place, await work_on(item, asker))
                        spent, num = asker.budget.spent, next(done)
                        cost, now = spent.cost(service.dials), rate.at(monotonic(), num)
                        on_progress(Standing(num, len(items), spent, cost, now, asker.counted))
                except TeacherStopped as stop:  # the others end the calls they have begun, since those are paid for
                    stops.append(stop)

            await _all([work() for _ in range(min(service.dials.concurrency, len(items)))])

    asyncio.run(run())
    if stops:
        raise stops[0]


def _comes_to_nothing(dials: ChatService, last: Lesson) -> str:
    who, check = f"the {dials.ROLE} {dials.model}", f"{dials.setting('model')}, request and max_answer_tokens"
    return (
        f"the first {_USELESS_AT_FIRST} questions that {who} was paid for came to nothing (the last, {last.reason}: {last.detail}); "
        f"check {check}, or run again to pay for as many more"
    )


async def _all(works: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run them to their ends; the first error ends them all."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
