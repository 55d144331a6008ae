"""Waiting for what another process does, without guessing how long it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

DEADLINE_S = 120.0
T = TypeVar("T")


def wait_until(probe: Callable[[], T | bool | None]) -> T:
    """What `probe` comes to, as soon as it is something."""
    end = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while not (found := probe()):
        assert time.monotonic() < end, "waited too long"
        pause.wait(0.2)
    return found  # type: ignore[return-value]
