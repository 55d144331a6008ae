"""Where the seconds of a step go."""

from __future__ import annotations

import time

import torch


class Clock:
    """Seconds of a step by phase; a GPU is waited for at each lap, so that a phase pays for its own work."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._started = self._last = time.monotonic()
        self._laps: dict[str, float] = {}

    def lap(self, phase: str) -> None:
        """End a phase; one that comes again adds up."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.monotonic()
        self._laps[f"seconds_{phase}"] = self._laps.get(f"seconds_{phase}", 0.0) + now - self._last
        self._last = now

    def seconds(self) -> dict[str, float]:
        """Every phase's seconds and `seconds` of all."""
        return {**self._laps, "seconds": self._last - self._started}
