"""A trainer that trains nothing: says "ready RANK PID", waits for SIGTERM, saves, says so.

`trainer.py FOLDER [stubborn]`: a stubborn one does not listen to SIGTERM at all.
"""

import os
import signal
import sys
from pathlib import Path


def main(folder: Path, manner: str) -> int:
    """Never returns of itself."""
    rank = os.environ.get("RANK", "0")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a launcher that ignores it hands that down, and sigwait would never see it
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.write(1, f"ready {rank} {os.getpid()}\n".encode())
    signal.sigwait({signal.SIGUSR1 if manner == "stubborn" else signal.SIGTERM})
    os.write(1, b"saving\n" * 10_000)  # more than a pipe holds: somebody must still be reading
    (folder / f"saved-{rank}").write_text("whole")
    return 143


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
