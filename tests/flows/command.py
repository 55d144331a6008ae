"""The r1vl command called in this process: its imports, of which some take seconds, are paid for once a test process."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from flows.__main__ import app
from flows.exits import exit_status


def r1vl(*arguments: str | Path, given: str = "", root: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `r1vl ARGUMENTS` says and ends with, for `given` on its standard input and a root."""
    if root is not None:
        environment["R1VL_ROOT"] = str(root)
    argv = ["r1vl", *map(str, arguments)]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as typed,
        patch.object(sys, "argv", argv),
        patch.object(sys, "stdin", typed),
        patch.dict(os.environ, {"COLUMNS": "140", **environment}),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        typed.write(given)
        typed.seek(0)
        try:
            status: int | str | None = exit_status(app)
        except SystemExit as ended:
            status = ended.code
    return subprocess.CompletedProcess(argv, int(status or 0), *(stream.buffer.getvalue().decode() for stream in (out, err)))  # type: ignore[attr-defined]
