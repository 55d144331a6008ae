"""The teacher's cache among processes: one writer, readers while it is written, and what `kill -9` leaves."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from r1vl_core.data.teacher.budget import Tokens
from r1vl_core.data.teacher.cache import Answer, AnswerKey, opened

WRITER = """
import sys
from pathlib import Path
from r1vl_core.data.teacher.cache import opened
from tests.core.data.test_teacher_cache import ANSWER, key
with opened(Path(sys.argv[1])) as cache:
    for number in range(int(sys.argv[2])):
        cache.keep(key(number), ANSWER, "recipe")
        print(number, flush=True)
    if sys.argv[3] == "torn":
        cache._connection.begin()
        for number in range(1000, 3000):
            cache.keep(key(number), ANSWER, "recipe")
    print("waiting", flush=True)
    sys.stdin.read()
"""

ANSWER = Answer("{}", "stop", Tokens(12, 3), 0.5, 1)


def key(number: int) -> AnswerKey:
    """What answer `number` is an answer to."""
    return AnswerKey("extract", "3f2a", "teacher-1", f"{number:04}")


def writer(path: Path, count: int, how: str = "whole") -> subprocess.Popen[str]:
    """A process that has kept `count` answers, one after another, and holds the cache open."""
    command = [sys.executable, "-c", WRITER, str(path), str(count), how]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert [line.strip() for line in iter(process.stdout.readline, "waiting\n")] == [str(number) for number in range(count)]
    return process


def end(process: subprocess.Popen[str], number: int) -> None:
    """End a writer by a signal."""
    process.send_signal(number)
    process.communicate()
    assert process.returncode == -number


@pytest.mark.parametrize("how", ["whole", "torn"])
def test_what_was_kept_outlives_kill_9_and_a_transaction_under_way_leaves_nothing(tmp_path: Path, how: str) -> None:
    path = tmp_path / "teacher.duckdb"
    end(writer(path, 20, how), signal.SIGKILL)
    with opened(path) as cache:
        assert [cache.find(key(number)) for number in range(20)] == [ANSWER] * 20
        assert cache.find(key(1000)) is None
        assert cache.spent("recipe") == Tokens(240, 60)
        cache.keep(key(20), ANSWER, "recipe")  # and it goes on
    with opened(path) as cache:
        assert cache.find(key(20)) == ANSWER


def test_while_it_is_written_a_second_writer_and_a_reader_are_refused_in_words_and_a_copy_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "teacher.duckdb"
    process = writer(path, 5)
    try:
        with pytest.raises(ValueError, match=r"teacher\.duckdb: cannot be opened for writing .*end the other program"), opened(path):
            pass
        with pytest.raises(duckdb.IOException, match="lock"):
            duckdb.connect(str(path), read_only=True)
        # What a reader can have: the file with its log, as it stands.
        for file in tmp_path.iterdir():
            (tmp_path / file.name.replace("teacher", "copy")).write_bytes(file.read_bytes())
        with duckdb.connect(str(tmp_path / "copy.duckdb")) as copy:
            assert copy.execute("SELECT count(*) FROM answers").fetchall() == [(5,)]
    finally:
        end(process, signal.SIGKILL)
    with opened(path) as cache:  # the lock died with its holder
        assert cache.find(key(4)) == ANSWER


HELD = """
import sys, threading
from pathlib import Path
from r1vl_core.config import Teacher
from r1vl_core.data.teacher import cache, calls

dials = Teacher(base_url="http://127.0.0.1/v1", model="m")
try:
    with cache.opened(Path(sys.argv[1])) as kept, calls.writing(Path(sys.argv[2]), dials) as log:
        raise ValueError("the job ends")
except ValueError as error:
    threading.Thread(target=lambda *held: threading.Event().wait(), args=(error, kept, log), daemon=True).start()
"""


def test_a_job_that_failed_and_is_still_held_leaves_nothing_to_tell_at_the_end(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HELD, str(tmp_path / "teacher.duckdb"), str(tmp_path / "calls.duckdb")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
