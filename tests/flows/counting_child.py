"""Stands in for a trainer's duration, not for its manners: counts, reports each step, saves its count when asked to stop."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path


def main(path: Path, num_steps: int) -> int:
    """Count from what `path` holds to `num_steps`, ten steps a second; 143 when asked to stop."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    count = int(path.read_text()) if path.exists() else 0
    print(f"counting from {count}", flush=True)
    while count < num_steps and not stop.wait(0.1):
        count += 1
        path.write_text(str(count))
        print(json.dumps({"report": {"step": count, "num_steps": num_steps, "metrics": {"reward": count / num_steps}}}), flush=True)
    return 143 if stop.is_set() else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
