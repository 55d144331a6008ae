"""What may be spent: tokens and money, over all runs of one recipe together.

A call is begun only when its upper bound still fits, so what is spent never passes the budget: not even by the calls that are under way.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from r1vl_core.config import ChatService

_BYTES_A_MESSAGE = 64
"""Tokens that a chat template may put around a message, at most."""


class TeacherStopped(RuntimeError):
    """The job cannot go on now: the budget is spent, or the service does not answer. What was paid for is kept; a rerun goes on."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens asked and answered.

    >>> Tokens(1000, 200) + Tokens(1, 2)
    Tokens(asked=1001, answered=202)
    """

    asked: int = 0
    answered: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.asked + other.asked, self.answered + other.answered)

    def __sub__(self, other: Tokens) -> Tokens:
        return Tokens(self.asked - other.asked, self.answered - other.answered)

    @property
    def total(self) -> int:
        """Both together."""
        return self.asked + self.answered

    def cost(self, dials: ChatService) -> float:
        """What they cost, in the currency of the preset's prices."""
        return (self.asked * dials.price_in + self.answered * dials.price_out) / 1e6


def upper_bound(messages: list[dict[str, str]], max_answer_tokens: int) -> Tokens:
    """No more tokens than this: a token is at least a byte of the text.

    >>> upper_bound([{"role": "user", "content": "12 ½"}], 100)
    Tokens(asked=69, answered=100)
    """
    return Tokens(sum(len(message["content"].encode()) + _BYTES_A_MESSAGE for message in messages), max_answer_tokens)


class Budget:
    """Keeps what was `spent` and what is promised to calls under way below the preset's limits."""

    def __init__(self, dials: ChatService, spent: Tokens) -> None:
        self.dials = dials
        self.spent = spent
        self._promised = Tokens()
        self._changed = asyncio.Condition()

    async def reserve(self, bound: Tokens) -> None:
        """Promise a call its upper bound, waiting for calls under way to leave room. Raises TeacherStopped where they cannot."""
        async with self._changed:
            while not self._fits(self.spent + self._promised + bound):
                if not self._promised.total:
                    raise TeacherStopped(self._told(bound))
                await self._changed.wait()
            self._promised += bound

    async def settle(self, bound: Tokens, used: Tokens) -> None:
        """A call that was promised `bound` is over and used this much."""
        async with self._changed:
            self._promised -= bound
            self.spent += used
            self._changed.notify_all()

    def _fits(self, tokens: Tokens) -> bool:
        dials = self.dials
        return (not dials.max_tokens or tokens.total <= dials.max_tokens) and (
            not dials.max_cost or tokens.cost(dials) <= dials.max_cost * (1 + 1e-9)
        )

    def _told(self, bound: Tokens) -> str:
        dials, spent = self.dials, self.spent
        limits = [f"{dials.max_tokens:,} tokens"] * bool(dials.max_tokens) + [f"a cost of {dials.max_cost:g}"] * bool(dials.max_cost)
        return (
            f"the {dials.ROLE}'s budget of {' and '.join(limits)} is spent: {spent.total:,} tokens, cost {spent.cost(dials):.4g}, and the "
            f"next call may take up to {bound.total:,} tokens, cost {bound.cost(dials):.2g}; every answer is kept: raise "
            f"{dials.setting('max_tokens')} or max_cost and run again to go on"
        )
