"""What `r1vl sql` prints can be read on a narrow terminal, and says how a field is written."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from flows.querying import print_answer
from flows.results import RunResult, StageOutcome, save_result
from r1vl_core.data import responses as stored
from tasks.recipe import Recipe
from tasks.store import Store

REPORTS = [{"step": step, "text": "one, two " * 30, "metrics": {"loss": 0.5, "kl": 0.25}} for step in (1, 2)]
WIDE = f"SELECT step, text, {', '.join(f'{n} AS a_column_{n}' for n in range(12))} FROM reports"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def build(folder: Path) -> None:
        (folder / "reports.jsonl").write_text("".join(json.dumps(report) + "\n" for report in REPORTS))

    Store(tmp_path).put(Recipe("stepgrpo", 1, {}), build)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def shown(root: Path, sql: str | None, capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_answer(root, "stepgrpo", None, sql, "table")
    return capsys.readouterr().out.splitlines()


def test_an_answer_too_wide_for_the_screen_has_a_line_a_column(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(root, WIDE, capsys)
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line.startswith("row ")] == ["row 1", "row 2"]
    assert [line.split() for line in lines if "a_column_11" in line] == [["a_column_11", "11"]] * 2
    assert sum(line.count("one,") for line in lines) == 2 * 30


def test_an_answer_that_fits_is_a_table(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(root, "SELECT step, metrics.loss FROM reports", capsys)
    assert [line.strip("│ ").split() for line in lines if line.startswith("│")] == [["1", "│", "0.5"], ["2", "│", "0.5"]]


def test_the_tables_say_how_a_field_of_a_column_is_written(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert any("STRUCT, its fields as metrics.kl: kl, loss" in line for line in shown(root, None, capsys))
    with pytest.raises(ValueError, match=r"loss is a field of metrics in reports: write metrics\.loss"):
        shown(root, "SELECT loss FROM reports", capsys)


def test_a_run_nobody_knows_is_named_with_those_there_are(root: Path) -> None:
    save_result(root, RunResult("one", "tiny", 0, "COMPLETED", {"stepgrpo": StageOutcome("built", 1.0, "k", "d")}), is_last=True)
    with pytest.raises(ValueError, match=r"^--run xyz: no run of this id under .*; the newest are one, or last$"):
        print_answer(root, "stepgrpo", "xyz", None, "table")


def test_without_a_whole_run_the_last_of_the_others_is_named(root: Path) -> None:
    save_result(root, RunResult("one", "tiny", 0, "COMPLETED", {}), is_last=False)
    with pytest.raises(ValueError, match=r"no run of the whole pipeline under .*; of those up to a stage, the newest is one"):
        print_answer(root, "stepgrpo", "last", None, "table")


def test_an_evaluation_is_asked_by_policy_key_or_folder_the_newest_by_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {}
    for name in ("first", "second"):

        def build(folder: Path, name: str = name) -> None:
            evaluation = stored.Evaluation(name, "0", "plain", {}, datetime(2026, 1, 1), False, None, None)
            response = stored.ResponseRow("mme", "0", 0, f"Yes, says {name}", 3, False)
            verdict = stored.VerdictRow("mme", "0", 0, "paper", "Yes", True, "correct", "yes or no", "rule")
            question = stored.AskedRow("mme", "0", "OCR", "Is it so?", "Yes", None)
            stored.write(folder / stored.FILE, evaluation, [question], [response], [verdict])

        found[name] = Store(tmp_path).put(Recipe("benchmarks", 2, {"name": name}), build)
    query = "SELECT response, extracted, rule, decided_by FROM responses JOIN verdicts USING (benchmark, row_index, sample)"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "broken.parquet").write_text("not ours")
    copy = shutil.copy(found["first"].path / stored.FILE, elsewhere / "kept.duckdb")
    for run, name in (
        (str(copy), "first"),
        (None, "second"),
        ("first", "first"),
        (found["first"].key[:8], "first"),
        (str(found["second"].path), "second"),
    ):
        print_answer(tmp_path, "benchmarks", run, query, "json")
        answer = json.loads(capsys.readouterr().out)
        assert answer == {"response": f"Yes, says {name}", "extracted": "Yes", "rule": "yes or no", "decided_by": "rule"}
    print_answer(tmp_path, "benchmarks", None, None, "table")
    assert "verdicts, 1 rows" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"no evaluation under .*r1vl eval PRESET"):
        print_answer(tmp_path / "none", "benchmarks", None, query, "table")
