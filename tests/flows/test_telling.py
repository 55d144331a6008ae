"""What went wrong is told once, and what is remembered of it keeps nothing open."""

from __future__ import annotations

import logging
import weakref

import pytest
from prefect.logging import disable_run_logger

from flows.telling import tell_once


class Connection:
    """What a function holds while it fails."""


def failing(held: list[weakref.ref[Connection]]) -> None:
    connection = Connection()
    held.append(weakref.ref(connection))
    try:
        raise OSError("the disk is full", connection.__class__)
    except OSError as error:
        raise ValueError("cannot write the answers") from error


def test_what_failing_functions_held_is_let_go_when_the_problem_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("prefect.flow_runs", "prefect.task_runs", "prefect.engine"):
        monkeypatch.setattr(logging.getLogger(name), "filters", [])
    held: list[weakref.ref[Connection]] = []
    with pytest.raises(ValueError, match="cannot write") as told, disable_run_logger():
        failing(held)
    with disable_run_logger():
        assert held[0]() is not None
        tell_once(told.value)
    assert held[0]() is None
