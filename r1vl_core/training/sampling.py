"""Which groups a step learns from: sample, and sample other questions where a group teaches nothing (dynamic sampling, DAPO)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from r1vl_core.training.groups import Group
from r1vl_core.training.order import Stream
from r1vl_core.training.processes import gather_lists, my_share

Sample = Callable[[Sequence[tuple[int, int]]], Sequence[Group]]
"""From (place in the step, question) to judged groups, in the same order."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """The groups sampled in one step, over `num_rounds` rounds.

    `groups` are this process's, by their place in the step, `chosen` the places, over all processes, of those that the update is made
    from. `num_groups` counts all processes' groups.

    >>> Sampled(groups={}, chosen=frozenset({0, 2}), num_groups=3, num_rounds=2).num_rounds
    2
    """

    groups: dict[int, Group]
    chosen: frozenset[int]
    num_groups: int
    num_rounds: int

    @property
    def mine(self) -> list[Group]:
        """This process's groups in the update, by place."""
        return [group for place, group in sorted(self.groups.items()) if place in self.chosen]

    def first(self, num_groups: int) -> list[Group]:
        """Those of them that are among the first of all processes' groups in the update."""
        first = sorted(self.chosen)[:num_groups]
        return [self.groups[place] for place in first if place in self.groups]


def sample_groups(sample: Sample, stream: Stream, *, num_groups: int, refill_rounds: int, accelerator: Any) -> Sampled:
    """Sample `num_groups` questions from the stream, and up to `refill_rounds` times as many others as there are groups that teach nothing.

    The update is made from `num_groups` groups whatever happens: those that teach, and when the rounds are spent the earliest of those
    that do not (with a reference they still hold the policy near it). So a step's loss is always a mean over the same number of paths.
    Every process sees what all groups taught and draws the same; the stream's position afterwards is the only trace.
    """
    groups: dict[int, Group] = {}
    teaches: dict[int, bool] = {}
    num_rounds = 0
    while num_rounds <= refill_rounds and sum(teaches.values()) < num_groups:
        drawn = list(enumerate(stream.take(num_groups - sum(teaches.values())), start=len(teaches)))
        mine = my_share(drawn, accelerator)
        places = [place for place, _ in mine]
        groups |= dict(zip(places, sample(mine), strict=True))
        teaches |= dict(gather_lists([(place, groups[place].teaches) for place in places], accelerator))
        num_rounds += 1
    by_use = sorted(teaches, key=lambda place: (not teaches[place], place))
    return Sampled(groups, frozenset(by_use[:num_groups]), len(teaches), num_rounds)
