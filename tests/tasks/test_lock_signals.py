"""Who waits for a lock hears an interruption."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.locks import locked

WAITER = """
import signal, sys, threading
from pathlib import Path
from tasks.locks import locked

main = threading.main_thread().native_id

def poke(_holder):
    def run():
        while Path(f"/proc/self/task/{main}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            pass
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    threading.Thread(target=run, daemon=True).start()

signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with locked(Path(sys.argv[1]), poke):
        print("took it")
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at a thread's state in /proc")
def test_a_signal_that_another_thread_is_handed_ends_the_wait(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"):
        done = subprocess.run(
            [sys.executable, "-c", WAITER, str(tmp_path / "lock")], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.stdout == "interrupted\n", done.stderr
