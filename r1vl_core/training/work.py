"""Micro-batches with what is known of their tokens, and how they are cut smaller."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from r1vl_core.config import StepGRPO
from r1vl_core.policy.logprobs import score_shared
from r1vl_core.policy.model import Policy, Prompt
from r1vl_core.policy.room import Room, in_pieces
from r1vl_core.training.backward import MicroBatch, Score, Sums, add_gradient, fill

R = TypeVar("R")
Paths = tuple[Sequence[Prompt], Sequence[Sequence[Tensor]]]
"""Prompts, and the completions of each."""


@dataclass(frozen=True, slots=True)
class Work:
    """A micro-batch of N tokens with their log-probabilities (N,) under the reference and before the first update, where there are any.

    >>> Work.__slots__
    ('batch', 'reference', 'old')
    """

    batch: MicroBatch
    reference: Tensor | None = None
    old: Tensor | None = None

    @property
    def paths(self) -> Paths:
        """Its prompts and completions."""
        return self.batch.prompts, self.batch.completions


def num_tokens(paths: Paths, *, shared: bool) -> int:
    """Tokens that a forward computes: a prompt once, or once for each of its paths."""
    prompts, groups = paths
    return sum(len(prompt) * (1 if shared else len(group)) + sum(map(len, group)) for prompt, group in zip(prompts, groups, strict=True))


def split_paths(paths: Paths, token_budget: int, *, shared: bool) -> list[Paths]:
    """Parts within the budget, in the same order; a single path is never cut."""
    prompts, groups = paths
    tables = fill([len(prompt) for prompt in prompts], [list(map(len, group)) for group in groups], token_budget, shared=shared)
    return [([prompts[i] for i in table], [[groups[i][place] for place in places] for i, places in table.items()]) for table in tables]


def split_work(work: Work, token_budget: int, *, shared: bool) -> list[Work]:
    """Parts within the budget, each with its own part of what is known of the tokens."""
    batch, parts, start = work.batch, [], 0
    for prompts, groups in split_paths(work.paths, token_budget, shared=shared):
        of_part = slice(start, start + sum(len(tokens) for group in groups for tokens in group))
        start = of_part.stop
        of_tokens = (tensor[of_part] for tensor in (batch.advantages, batch.weights, batch.sampled_logprobs))
        part = MicroBatch(list(prompts), [list(group) for group in groups], *of_tokens)
        parts.append(Work(part, *(None if known is None else known[of_part] for known in (work.reference, work.old))))
    return parts


@dataclass(frozen=True, slots=True)
class Forward:
    """How a policy's paths are scored, in the room there is.

    >>> Forward.__slots__
    ('policy', 'score', 'room')
    """

    policy: Policy
    score: Score
    room: Room

    @property
    def _shared(self) -> bool:
        return self.score is score_shared

    @torch.no_grad()
    def logprobs(self, paths: Paths, temperature: float) -> Tensor:
        """Log-probabilities (N,) of all tokens. Raises ValueError when one path does not fit."""
        size, split = functools.partial(num_tokens, shared=self._shared), functools.partial(split_paths, shared=self._shared)
        compute = functools.partial(self._some, temperature)
        return torch.cat(in_pieces([paths], compute, self.room.tokens, size, split))

    def with_references(self, work: Sequence[Work], reference_logprobs: Callable[[MicroBatch], Tensor | None]) -> list[Work]:
        """The micro-batches, smaller ones where memory is short, with what the reference makes of them."""
        return self._in_room(work, lambda one: replace(one, reference=reference_logprobs(one.batch)))

    def add_gradients(self, work: Sequence[Work], settings: StepGRPO) -> tuple[Sums, list[Work]]:
        """Add up the gradient of one update over all micro-batches; the old log-probabilities for the next are those of the first."""

        def add(one: Work) -> tuple[Sums, Work]:
            part, logprobs = add_gradient(self.policy, one.batch, one.reference, one.old, score=self.score, settings=settings)
            return part, replace(one, old=logprobs if one.old is None else one.old)

        sums, done = Sums(), []
        for part, one in self._in_room(work, add):
            sums += part
            done.append(one)
        return sums, done

    def _some(self, temperature: float, paths: Paths) -> Tensor:
        return self.score(self.policy, *paths, temperature).logprobs

    def _in_room(self, work: Sequence[Work], compute: Callable[[Work], R]) -> list[R]:
        split = functools.partial(split_work, shared=self._shared)
        return in_pieces(work, compute, self.room.tokens, lambda one: num_tokens(one.paths, shared=self._shared), split)
