"""One answer from a teacher: remembered, or asked for until it is there, paid for once, and kept before anybody uses it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from weakref import WeakValueDictionary

from r1vl_core.config import ChatService
from r1vl_core.data.teacher.budget import Budget, TeacherStopped, Tokens, upper_bound
from r1vl_core.data.teacher.cache import Answer, AnswerCache, AnswerKey
from r1vl_core.data.teacher.endpoint import Busy, ChatEndpoint, Completion, NotThere, Refused, not_there, request_body
from r1vl_core.data.teacher.pace import Pace, backoff
from r1vl_core.prompts import prompt_digest

MAX_PAUSE_S = 900.0
"""Seconds a service may ask to wait; for longer a person need not keep a job running."""

_OUTAGE = 3
_REFUSED_AT_FIRST = 8


class NoAnswer(Exception):
    """This question gets no answer; `reason` is unreachable or refused_request."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Call:
    """An answer as a question used it; `cached` when it had been paid for before.

    >>> Call(AnswerKey("extract", "3f2a", "teacher-1", "77c0"), Answer("{}", "stop", Tokens(12, 3), 0.8, 1), cached=False).cached
    False
    """

    key: AnswerKey
    answer: Answer
    cached: bool


class Asker:
    """Asks one teacher on behalf of a whole job. `scope` is the key of the recipe that pays."""

    def __init__(self, dials: ChatService, endpoint: ChatEndpoint, cache: AnswerCache, scope: str, pace: Pace | None = None) -> None:
        self.dials = dials
        self.budget = Budget(dials, cache.spent(scope))
        self.counted = True
        """Whether the service counted the tokens of every answer that was paid for."""
        self._endpoint, self._cache, self._scope = endpoint, cache, scope
        self._pace = pace or Pace(dials.concurrency)
        self._under_way: WeakValueDictionary[AnswerKey, asyncio.Lock] = WeakValueDictionary()
        self._given_up = self._refused = 0
        self._answered_any = False
        self._stopped: TeacherStopped | None = None

    async def ask(self, prompt: str, messages: list[dict[str, str]]) -> Call:
        """The answer to `messages`, which were rendered from the template `prompt`.

        Raises NoAnswer for this question, TeacherStopped and ValueError for the whole job.
        """
        request = json.dumps(request_body(self.dials, messages), sort_keys=True, ensure_ascii=True)
        key = AnswerKey(prompt, prompt_digest(prompt), self.dials.model, hashlib.sha256(request.encode()).hexdigest())
        lock = self._under_way.setdefault(key, asyncio.Lock())
        async with lock:  # two questions may ask the same: the second one finds what the first one paid for
            found = self._cache.find(key)
            if found is not None:
                return Call(key, found, cached=True)
            try:
                return Call(key, await self._paid(key, messages), cached=False)
            except TeacherStopped as stop:
                self._stopped = stop
                raise

    async def _paid(self, key: AnswerKey, messages: list[dict[str, str]]) -> Answer:
        self._check_going_on()
        bound = upper_bound(messages, self.dials.max_answer_tokens)
        await self.budget.reserve(bound)
        used = Tokens()
        try:
            completion, seconds, attempts = await self._answered(messages)
            used = completion.tokens or bound  # a service that counts nothing is counted at its most
            self.counted = self.counted and completion.tokens is not None
            answer = Answer(completion.text, completion.finish, used, seconds, attempts)
            self._cache.keep(key, answer, self._scope)
        finally:
            await self.budget.settle(bound, used)
        return answer

    async def _answered(self, messages: list[dict[str, str]]) -> tuple[Completion, float, int]:
        problem = ""
        for attempt in range(1, self.dials.max_attempts + 1):
            async with self._pace.slot() as began:
                try:
                    completion = await self._endpoint.complete(messages)
                except Busy as busy:
                    problem, pause = str(busy), busy.pause
                    if isinstance(busy, NotThere) and not self._answered_any:
                        raise TeacherStopped(not_there(self.dials, problem)) from None
                    if pause is not None and pause > MAX_PAUSE_S:
                        raise TeacherStopped(
                            f"the {self.dials.ROLE} asks to wait {pause:.6g} s ({problem}); every answer is kept: run again then"
                        ) from None
                    self._pace.pushed_back(began, pause)
                except Refused as refused:
                    raise self._told_off(str(refused)) from None
                else:
                    self._pace.succeeded()
                    self._answered_any, self._given_up = True, 0
                    return completion, self._pace.clock() - began, attempt
            self._check_going_on()
            if pause is None and attempt < self.dials.max_attempts:
                await self._pace.sleep(backoff(attempt))
        raise self._gave_up(problem)

    def _check_going_on(self) -> None:
        """Once one call stopped the job, no other begins: those under way end, since they are paid for."""
        if self._stopped is not None:
            raise TeacherStopped(str(self._stopped))

    def _gave_up(self, problem: str) -> Exception:
        """One request may be beyond a service; several in a row are an outage, and no fault of the questions."""
        self._given_up += 1
        if self._given_up >= _OUTAGE:
            return TeacherStopped(
                f"the {self.dials.ROLE} at {self.dials.base_url} does not answer ({problem}, {self.dials.max_attempts} attempts); "
                "every answer is kept: run again to go on"
            )
        return NoAnswer("unreachable", f"{problem}, {self.dials.max_attempts} attempts")

    def _told_off(self, problem: str) -> Exception:
        self._refused += 1
        if self._refused >= _REFUSED_AT_FIRST and not self._answered_any:
            dials = self.dials.setting("request")
            return ValueError(f"the {self.dials.ROLE} refuses every request ({problem}); check {dials} and token_limit")
        return NoAnswer("refused_request", problem)
