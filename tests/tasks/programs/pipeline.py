"""A pipeline of one stage: runs the command it is given under the supervisor, passes on what it says.

`pipeline.py GRACE COMMAND…`. On SIGTERM it does what a cancelled flow run does: an exception in the middle of things.
"""

import signal
import sys

from tasks.supervise import run_supervised


def cancelled(*_: object) -> None:
    """What Prefect raises in the engine."""
    raise SystemExit(143)


def say(line: str) -> None:
    """To whoever started us."""
    if line.startswith("ready"):
        print(line, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, cancelled)
    sys.exit(run_supervised(sys.argv[2:], on_line=say, grace_s=float(sys.argv[1])))
