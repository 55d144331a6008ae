"""Symbolic comparison: the limit is hard, the pool survives, it works wherever a reward is computed and leaves nothing behind."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import psutil
import pytest

from r1vl_core.reasoning import symbolic
from r1vl_core.reasoning.answers import is_correct
from r1vl_core.reasoning.symbolic import SymbolicPool

EQUAL = ("$2 \\sqrt{2}$", "$\\sqrt{8}$")
TOWER = ("$9^{9^{9^{9}}}$", "$5$")
FREE = SimpleNamespace(choices=())


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_a_comparison_over_its_limit_ends_its_worker_and_the_pool_goes_on() -> None:
    pool = SymbolicPool(num_workers=1)
    before = children()
    assert pool.compare(*EQUAL) == "equal"
    (first,) = pool.pids()
    assert pool.compare(*TOWER) == "timeout"
    assert not psutil.pid_exists(first), "the worker is gone and reaped: no zombie"
    assert pool.compare(*EQUAL) == "equal"
    (second,) = pool.pids()
    assert second != first
    assert pool.counts == {"equal": 2, "timeout": 1}
    assert pool.num_replaced == 1
    pool.close()
    assert children() == before


def test_a_worker_that_dies_is_an_error_and_is_replaced() -> None:
    pool = SymbolicPool(num_workers=1)
    assert pool.compare(*EQUAL) == "equal"
    dead = psutil.Process(pool.pids()[0])
    dead.kill()
    psutil.wait_procs([dead], timeout=5)
    assert pool.compare(*EQUAL) == "error"
    assert pool.compare(*EQUAL) == "equal"
    pool.close()


def test_many_threads_share_the_pool() -> None:
    pool = SymbolicPool(num_workers=2)
    outcomes: list[str] = []
    threads = [threading.Thread(target=lambda: outcomes.append(pool.compare(*EQUAL))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["equal"] * 6
    assert len(pool.pids()) <= 2
    pool.close()


def verdict_in_child(connection: multiprocessing.connection.Connection) -> None:
    connection.send(is_correct("\\sqrt{8}", "2\\sqrt{2}", FREE).verdict)
    connection.close()


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_child_of_any_kind_gets_its_own_workers(method: str) -> None:
    assert is_correct("\\sqrt{18}", "3\\sqrt{2}", FREE).verdict == "correct"  # this process has a pool before the child starts
    ours = set(symbolic.pool().pids())
    context = multiprocessing.get_context(method)
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=verdict_in_child, args=(sender,))
    child.start()
    sender.close()
    assert receiver.recv() == "correct"
    child.join()
    assert child.exitcode == 0
    assert ours <= children(), "the child did not touch its parent's workers"


PROGRAM = """
import psutil
from types import SimpleNamespace
from r1vl_core.reasoning.answers import is_correct
free = SimpleNamespace(choices=())
is_correct("45", "45", free), is_correct("B", "C", free), is_correct("red", "blue", free)
print(len(psutil.Process().children()))
is_correct("\\\\sqrt{8}", "2\\\\sqrt{2}", free)
print(*[child.pid for child in psutil.Process().children()])
"""


def test_workers_start_only_when_needed_and_end_with_the_program() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=os.getcwd())
    before, pids = done.stdout.splitlines()
    assert before == "0"
    assert len(pids.split()) == 1
    psutil.wait_procs([psutil.Process(int(pid)) for pid in pids.split() if psutil.pid_exists(int(pid))], timeout=10)
    assert not any(psutil.pid_exists(int(pid)) for pid in pids.split())


def test_a_timeout_is_a_verdict_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    before = symbolic.pool().counts["timeout"]
    with monkeypatch.context() as hurried:
        hurried.setattr(symbolic.pool(), "limit_s", 1e-5)  # less than any answer takes, however warm the worker
        assert is_correct("\\sqrt{50} + \\sqrt{72}", "11\\sqrt{2}", FREE).verdict == "timeout"
    assert is_correct("\\sqrt{8}", "2\\sqrt{2}", FREE).verdict == "correct"
    assert symbolic.pool().counts["timeout"] == before + 1


TOWERS = [
    "9**9**9",
    "9^{9^{9}}",
    "10^{10^{10}} cm",
    "99!!",
    "9999999!",
    "\\frac{9^{9^9}}{9^{9^9}}",
    "sin(9^9^9)",
    "x = 9^9^9",
    "(1, 9^{9^9})",
]


@pytest.mark.parametrize("answer", TOWERS)
def test_a_number_too_large_to_work_out_is_told_by_its_form_and_no_worker_is_asked(answer: str) -> None:
    before = sum(symbolic.pool().counts.values())
    for gold in ("14", "\\sqrt{2}", "(1, \\sqrt{2})"):
        verdict = is_correct(answer, gold, FREE)
        assert (verdict.verdict, verdict.rule in ("too_large", "kind")) == ("wrong", True)
    assert sum(symbolic.pool().counts.values()) == before
    assert is_correct(answer, answer, FREE).verdict == "correct"


def test_powers_that_people_write_are_worked_out() -> None:
    for answer, gold in (("2^{3^2}", "512"), ("3!!", "720"), ("2^{100} - 2^{99}", "2^{99}"), ("x^{2024} x", "x^{2025}")):
        assert is_correct(answer, gold, FREE).verdict == "correct"
