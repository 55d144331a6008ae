"""Loaded by every Python process of a soaked run: kills the trainer, as kill -9 does, in the middle of the phase it is told.

SOAK_AIM holds a phase of AIMS and the number of the call to die in, "rollout:12". Nothing is changed but the moment of death: the
function runs as it is, and the process ends before or after it. Without SOAK_AIM this file does nothing.
"""

from __future__ import annotations

import functools
import importlib.machinery
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

AIMS = {
    "rollout": ("r1vl_core.policy.drawing", "draw", "before"),
    "rewards": ("r1vl_core.training.groups", "judged", "before"),
    "forward": ("r1vl_core.policy.logprobs", "score_tokens", "before"),
    "backward": ("r1vl_core.policy.logprobs", "score_tokens", "after"),
    "before the optimiser's step": ("r1vl_core.training.optimizer", "_with_gradients", "after"),
    "after the optimiser's step": ("r1vl_core.training.optimizer", "update", "after"),
    "before the report": ("r1vl_core.training.run", "append_report", "before"),
    "weights written": ("r1vl_core.training.checkpoint", "save_file", "after"),
    "checkpoint written, not renamed": ("r1vl_core.training.checkpoint", "_close", "after"),
    "checkpoint renamed, old ones there": ("r1vl_core.training.checkpoint", "_is_whole", "before"),
    "checkpoint read": ("r1vl_core.training.checkpoint", "_load_weights", "after"),
    "reports cut": ("r1vl_core.training.run", "cut_reports", "after"),
}
"""Phase to module, function, and whether death comes before or after the function's own work."""


class Aim:
    """Finds the module of the phase as it is imported, and puts the shot into its function."""

    def __init__(self, phase: str, number: int) -> None:
        self.module, self.function, self.when = AIMS[phase]
        self.number = number

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """Python's own finding, with a loader that calls us when the module stands."""
        if name != self.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.loader is not None
        run = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            setattr(module, self.function, self.shot(getattr(module, self.function)))

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    def shot(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, deadly in its call number `number`."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            self.number -= 1
            if self.number == 0 and self.when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*args, **kwargs)
            if self.number == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call


if "SOAK_AIM" in os.environ:
    _phase, _, _number = os.environ["SOAK_AIM"].rpartition(":")
    sys.meta_path.insert(0, Aim(_phase, int(_number)))
