"""Every test runs offline, on one thread a process, and leaves the user's own folders alone."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["DO_NOT_TRACK"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
home = Path(tempfile.gettempdir()) / f"r1vl-tests-{os.getuid()}" / "prefect"
home.mkdir(parents=True, exist_ok=True)
os.environ["PREFECT_HOME"] = str(home)
for name in [name for name in os.environ if name.startswith(("R1VL_", "MLFLOW_TRACKING", "PREFECT_API"))]:
    del os.environ[name]  # what `eval "$(r1vl env)"` left in the developer's shell must not decide a test


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that start servers and trainings first: they take longest, and no process should be left alone with one at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(("tests/flows/", "tests/tasks/")))
