"""How fast a service is asked: additive increase, multiplicative decrease, as TCP does, and pauses that the service asks for."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0


class Pace:
    """At most `ceiling` calls at once; half as many after each refusal, one more after as many successes as run at once.

    `clock` gives seconds that only grow, `sleep` waits for some.
    """

    def __init__(
        self,
        ceiling: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.clock, self.sleep = clock, sleep
        self.limit = float(ceiling)
        self._ceiling = ceiling
        self._under_way = 0
        self._not_before = clock()
        self._cut_at = float("-inf")
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[float]:
        """One call's place; yields when it began."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._under_way < int(self.limit))
            self._under_way += 1
        try:
            while (pause := self._not_before - self.clock()) > 0:
                await self.sleep(pause)
            yield self.clock()
        finally:
            self._under_way -= 1
            async with self._changed:
                self._changed.notify_all()

    def succeeded(self) -> None:
        """A call was answered."""
        self.limit = min(self._ceiling, self.limit + 1 / self.limit)

    def pushed_back(self, began: float, pause: float | None) -> None:
        """A call that began then was turned away; `pause` is what the service asks everybody to wait, in seconds."""
        if began > self._cut_at:  # calls that were under way at the last cut say nothing new
            self.limit = max(1.0, self.limit / 2)
            self._cut_at = self.clock()
        if pause is not None:
            self._not_before = max(self._not_before, self.clock() + pause)


def longest_wait(attempt: int, max_attempts: int) -> float:
    """Seconds that are waited, at most, from failed attempt number `attempt` to the last one.

    >>> longest_wait(1, 4)
    7.0
    """
    return sum(min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** (number - 1)) for number in range(attempt, max_attempts))


def backoff(attempt: int) -> float:
    """Seconds to wait after failed attempt number `attempt`, from 1: twice as long each time, scattered so that calls part."""
    return min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a response asks to wait: Retry-After in seconds or as a date, or retry-after-ms; None where it asks for nothing.

    >>> retry_after({"retry-after": "7"}), retry_after({"retry-after": "soon"})
    (7.0, None)
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / scale
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
