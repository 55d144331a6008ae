"""Ctrl-C ends a query wherever it has come to, and the same artifact can be asked again."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from r1vl_core.data.database import write_key_steps
from r1vl_core.data.interruption import interruptible
from r1vl_core.data.sql import querying
from tests.core.data.samples import question

AGGREGATE = "SELECT sum(a.range * b.range) FROM range(10000000) a, range(100000) b"
"""Takes an hour before there is a first row."""
SIFTING = "SELECT a.range FROM range(10000000) a, range(100000) b WHERE (a.range * b.range) % 7 = 8"
"""Reads for as long, and finds nothing."""


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    write_key_steps(tmp_path / "key_steps.duckdb", [question(0, id="q0")])
    return tmp_path


def rows(place: Path, sql: str) -> list[tuple[object, ...]]:
    with querying(place, sql) as answer:
        return list(answer.rows)


@contextmanager
def pressing(press: Callable[[], None]) -> Iterator[None]:
    """Press while the block computes: when this process, its pressing thread aside, has worked for a while."""
    started = time.process_time()

    def wait_and_press() -> None:
        while time.process_time() - time.thread_time() < started + 0.3:
            os.sched_yield()
        press()

    thread = threading.Thread(target=wait_and_press)
    thread.start()
    yield
    thread.join()


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("sql", [AGGREGATE, SIFTING])
def test_it_ends_a_query_that_computes(artifact: Path, sql: str) -> None:
    with pressing(ctrl_c), pytest.raises(KeyboardInterrupt):
        rows(artifact, sql)
    assert rows(artifact, "SELECT id FROM questions") == [("q0",)]


def test_it_ends_a_query_that_had_rows_already(artifact: Path) -> None:
    many = "SELECT a.range FROM range(10000000) a, range(100000) b WHERE a.range < 2000 OR (a.range * b.range) % 7 = 8"
    with querying(artifact, many) as answer, pressing(ctrl_c), pytest.raises(KeyboardInterrupt):
        for _ in answer.rows:
            pass
    assert rows(artifact, "SELECT id FROM questions") == [("q0",)]


def test_one_that_comes_before_the_query_begins_is_not_forgotten() -> None:
    def press_and_ask(connection: duckdb.DuckDBPyConnection) -> None:
        ctrl_c()
        connection.execute(AGGREGATE).fetchall()

    before = signal.signal(signal.SIGINT, lambda *_: None)  # as one that Python would tell only after DuckDB's call
    try:
        with duckdb.connect() as connection, pytest.raises(KeyboardInterrupt), interruptible(connection):
            press_and_ask(connection)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_second_one_changes_nothing(artifact: Path) -> None:
    pressed: list[int] = []

    def hear(number: int, frame: object) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, hear)

    def twice() -> None:
        ctrl_c()
        while not pressed:
            os.sched_yield()
        ctrl_c()

    def ask_until_both_came() -> None:
        try:
            rows(artifact, AGGREGATE)
        finally:
            while len(pressed) < 2:
                os.sched_yield()

    try:
        with pressing(twice), pytest.raises(KeyboardInterrupt):
            ask_until_both_came()
    finally:
        signal.signal(signal.SIGINT, before)
    assert rows(artifact, "SELECT id FROM questions") == [("q0",)]


def test_what_heard_signals_before_hears_them_again(artifact: Path) -> None:
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    rows(artifact, "SELECT 1")
    assert signal.set_wakeup_fd(before) == before


def test_another_thread_may_ask_too(artifact: Path) -> None:
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.extend(rows(artifact, "SELECT id FROM questions")))
    thread.start()
    thread.join()
    assert answers == [("q0",)]
