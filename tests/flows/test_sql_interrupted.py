"""`r1vl sql` in a process of its own ends at Ctrl-C, whatever DuckDB is at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from r1vl_core.data.database import write_key_steps
from tasks.recipe import Recipe
from tasks.store import Store
from tests.core.data.samples import question
from tests.core.data.test_interruption import AGGREGATE, SIFTING
from tests.flows.waiting import wait_until

DATABASE = "key_steps.duckdb"


def has_open(process: subprocess.Popen[str], name: str) -> bool:
    links = []
    for entry in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            links.append(entry.readlink().name)
        except FileNotFoundError:
            continue  # closed meanwhile
    return name in links


def cpu_s(process: subprocess.Popen[str]) -> float:
    """CPU time that a process has taken."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("sql", [AGGREGATE, SIFTING])
@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_ends_a_query_that_runs(tmp_path: Path, sql: str, presses: int) -> None:
    Store(tmp_path).put(Recipe("key_steps", 1, {}), lambda folder: write_key_steps(folder / DATABASE, [question(0)]))
    command = [sys.executable, "-m", "flows", "sql", "--root", str(tmp_path), "--artifact", "key_steps", sql]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: has_open(process, DATABASE))
            opened = cpu_s(process)
            wait_until(lambda: cpu_s(process) > opened + 0.5)  # what is left to do there is the query alone
            for _ in range(presses):
                process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (130, "", "r1vl: interrupted\n")
