"""What a stage shows in Prefect, and what it costs the stage when Prefect is gone."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.showing import Show
from tasks.stages import StageEvent


def test_a_server_that_is_gone_is_not_asked_at_every_step(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    gone = {PREFECT_API_URL: f"http://127.0.0.1:{port}/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(gone), disable_run_logger(), Show("warmup", tmp_path, "run") as show:
        for number in range(3):
            show(StageEvent("warmup", "waiting", f"process {number} is building it"))
    assert [record.message[:46] for record in caplog.records if record.name == "flows.showing"] == [
        "Prefect does not take the progress of warmup: "
    ]
    assert len((tmp_path / "logs" / "runs" / "run" / "warmup.log").read_text().splitlines()) == 3
