"""How fast something goes now: what was at hand at once, from a cache or an earlier life, would make every time left too short."""

from __future__ import annotations

from collections import deque

_WINDOW_S = 60.0
_LEAST = 10
"""Looks back at least, however long ago they are: what takes minutes a time has a rate too."""


class RecentRate:
    """Counts a second over the last minute, or the last ten looks where these reach further back.

    >>> rate = RecentRate(began=0.0)
    >>> rate.at(2.0, 10)
    5.0
    """

    def __init__(self, began: float, num: int = 0) -> None:
        self._looks = deque([(began, num)])

    def at(self, now: float, num: int) -> float:
        """The rate now that `num` are done; 0 while no time has passed. `now` is in seconds and never less than the time before."""
        self._looks.append((now, num))
        while len(self._looks) > _LEAST and now - self._looks[1][0] >= _WINDOW_S:
            self._looks.popleft()
        began, before = self._looks[0]
        return (num - before) / (now - began) if now > began else 0.0
