"""A limit on the seconds that a piece of Python may take."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TimeLimitExceeded(BaseException):
    """The time is up. Not an Exception: what is being timed must not be able to swallow it among its own errors."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeLimitExceeded in the body once it has run for this long: in a sleep, a loop or a regular expression.

    It goes by SIGALRM, which the main thread alone receives: in any other, and where there is no such signal, there is no limit. A timer
    of somebody else's goes on afterwards with what it had left.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeLimitExceeded

    handler = signal.signal(signal.SIGALRM, ring)
    started = time.monotonic()
    others, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if others:
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, others - (time.monotonic() - started)), interval)
