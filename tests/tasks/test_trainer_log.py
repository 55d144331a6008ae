"""What the training process says of itself, as the pipeline hears it."""

from __future__ import annotations

import subprocess
import sys

SAY = """
import logging
from tasks.trainer import log_to_stdout
log_to_stdout()
logging.getLogger("r1vl_core.training.probe").warning("step %d: it is blind", 3)
logging.getLogger("tasks.stepgrpo").info("plain")
logging.getLogger("somebody.else").warning("deprecated")
"""


def test_our_own_warnings_are_known_by_their_first_word() -> None:
    done = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines() == ["warning: step 3: it is blind", "plain", "deprecated"]
