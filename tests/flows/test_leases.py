"""A run that somebody works on is told from one whose process is gone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.leases import has_somebody, leased


@pytest.mark.parametrize(
    ("state", "seconds", "expected"),
    [("RUNNING", 5, True), ("RUNNING", 3600, False), ("PENDING", 3600, True)],
)
def test_a_run_without_a_lease_may_be_about_to_begin_but_not_for_long(tmp_path: Path, state: str, seconds: float, expected: bool) -> None:
    """Whose Prefect server is killed gives its lease back, and nobody hears that the run is over: it says "Running" for ever."""
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    run = {"id": "one", "state_type": state, "state": {"timestamp": since.isoformat().replace("+00:00", "Z")}}
    assert has_somebody(tmp_path, run) is expected
    with leased(tmp_path, "one"):
        assert has_somebody(tmp_path, run)
    assert has_somebody(tmp_path, run) is expected
