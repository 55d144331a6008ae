"""The result of a run is kept as documented and read back as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from flows.results import RunResult, StageOutcome, print_result, read_result, save_result

WARMUP = {"accuracy": 0.5, "num_questions": 600, "interval": [0.46, 0.54]}
STEPGRPO = {"accuracy": 0.7, "num_questions": 600, "interval": [0.66, 0.735], "mean_step_rar": 0.8, "mean_step_rvr": 0.95}
RESULT = RunResult(
    run_id="one",
    preset="tiny",
    seed=0,
    state="COMPLETED",
    stages={"curate": StageOutcome("built", 3.25, "ab" * 32, "cd" * 32), "report": StageOutcome("cached", 0.1, "ef" * 32, "01" * 32)},
    scores={"warmup": WARMUP, "stepgrpo": STEPGRPO},
    report="/r/report.html",
)


def test_results_have_the_documented_form(tmp_path: Path) -> None:
    save_result(tmp_path, RESULT, is_last=True)
    table = json.loads((tmp_path / "runs" / "last.json").read_text())
    assert table["warmup"] == WARMUP
    assert table["stepgrpo"]["mean_step_rar"] == 0.8
    assert {name: (stage["state"], stage["seconds"], stage["key"]) for name, stage in table["stages"].items()} == {
        "curate": ("built", 3.25, "ab" * 32),
        "report": ("cached", 0.1, "ef" * 32),
    }


def test_a_result_is_read_back_as_it_was(tmp_path: Path) -> None:
    save_result(tmp_path, RESULT, is_last=False)
    assert read_result(tmp_path, "one") == RESULT
    with pytest.raises(ValueError, match=r"no run of the whole pipeline under .*; of those up to a stage, the newest is one"):
        read_result(tmp_path)
    with pytest.raises(ValueError, match=r"--run two: no run of this id under .*; the newest are one, or last"):
        read_result(tmp_path, "two")


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "last.json").write_text("{")
    with pytest.raises(ValueError, match=r"last\.json is no result of ours"):
        read_result(tmp_path)


def test_the_table_shows_both_policies_and_every_stage() -> None:
    console = Console(record=True, width=120)
    print_result(console, RESULT, {"report": "/r/report.html"})
    text = console.export_text()
    for shown in (
        "warm-up",
        "50.0 %",
        "46.0 – 54.0 %",
        "StepGRPO",
        "70.0 %",
        "0.800",
        "0.950",
        "curate",
        "built",
        "cached",
        "cd" * 6,
        "/r/report.html",
    ):
        assert shown in text
