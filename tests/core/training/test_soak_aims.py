"""The soak kills inside named functions; one that is renamed must not make it a soak of nothing."""

from __future__ import annotations

import importlib

import pytest

from tests.soak.aim.sitecustomize import AIMS


@pytest.mark.parametrize("phase", AIMS)
def test_every_aim_is_a_function_there_is(phase: str) -> None:
    module, function, when = AIMS[phase]
    assert callable(getattr(importlib.import_module(module), function))
    assert when in ("before", "after")
