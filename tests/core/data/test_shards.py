"""Shards: results in order, whatever runs them; errors where their shard stood; no more read ahead than workers need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest

from r1vl_core.data.shards import Processes, cut


def reciprocal(number: int) -> float:
    return 1 / number


def uneven(number: int) -> tuple[int, int]:
    """Later shards are done sooner."""
    sum(range(200_000 // (number + 1)))
    return number, os.getpid()


@pytest.mark.parametrize("num_workers", [1, 2])
def test_results_come_in_the_order_of_the_shards(num_workers: int) -> None:
    with Processes(num_workers) as processes:
        found = list(processes.map(uneven, range(40)))
        assert [number for number, _ in found] == list(range(40))
        assert (os.getpid() in {process for _, process in found}) == (num_workers == 1)
        assert list(processes.map(partial(pow, 2), [3, 4])) == [8, 16]
        assert list(processes.map(reciprocal, [])) == []


@pytest.mark.parametrize("num_workers", [1, 2])
def test_an_error_comes_where_its_result_would_have(num_workers: int) -> None:
    with Processes(num_workers) as processes:
        found = processes.map(reciprocal, [1, 2, 0, 4])
        assert [next(found), next(found)] == [1.0, 0.5]
        with pytest.raises(ZeroDivisionError):
            next(found)
        assert list(processes.map(reciprocal, [4, 8])) == [0.25, 0.125]  # the pool goes on


def test_a_worker_that_is_killed_ends_the_work_in_words() -> None:
    with Processes(2) as processes, pytest.raises(OSError, match="ended from outside"):
        list(processes.map(os._exit, [9, 9]))


def test_no_more_is_read_than_workers_need() -> None:
    read = []

    def shards() -> Iterator[int]:
        for number in range(1, 1000):
            read.append(number)
            yield number

    with Processes(2) as processes:
        assert next(processes.map(reciprocal, shards())) == 1.0
    assert len(read) < 10


def test_a_single_shard_stays_here() -> None:
    with Processes(8) as processes:
        assert list(processes.map(uneven, [3])) == [(3, os.getpid())]


def test_runs_of_items() -> None:
    assert [list(run) for run in cut(range(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(cut([], 3)) == []
