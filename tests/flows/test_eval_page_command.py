"""r1vl eval-page: one evaluation or two, with the benchmark's file; what is in the way is told and left alone."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from flows.browsing import make_page
from r1vl_core.data import responses
from r1vl_core.data.responses import AskedRow, Evaluation, ResponseRow, VerdictRow
from r1vl_core.evaluation.published import FILES
from tests.core.evaluation.benchmarks.files import ROWS, write
from tests.flows.command import r1vl


def evaluation(folder: Path, policy: str, indices: tuple[str, ...], samples: int = 1) -> Path:
    folder.mkdir(parents=True)
    head = Evaluation(policy, policy, "reasoning", {}, datetime(2026, 11, 23), True, None, 2)
    asked = [AskedRow("mmstar", index, "math", "?", "B", None) for index in indices]
    said = [ResponseRow("mmstar", index, sample, f"{policy} {sample}", 3, False) for index in indices for sample in range(samples)]
    ruled = [VerdictRow("mmstar", one.row_index, one.sample, "paper", "B", True, "correct", "letter", "rule") for one in said]
    responses.write(folder / responses.FILE, head, asked, said, ruled)
    return folder


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder / FILES["mmstar"], [ROWS["mmstar"]] * 3)
    return folder


def told(page: Path) -> str:
    return (page / "data" / "00000.js").read_text()


def test_two_evaluations_stand_side_by_side(tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = evaluation(tmp_path / "a", "old", ("0", "1")), evaluation(tmp_path / "b", "new", ("1", "2"), samples=2)
    make_page(tmp_path / "root", str(old), str(new), data_dir, tmp_path / "page")
    assert capsys.readouterr().out == f"5 rows: {tmp_path / 'page' / 'index.html'}\n"
    rows = json.loads(told(tmp_path / "page").split(",", 1)[1][:-3])
    assert [[answer and answer["pieces"][0][2][0][0] for answer in row["answers"]] for row in rows] == [
        ["old 0", None],
        ["old 0", "new 0"],
        [None, "new 1"],
        [None, "new 0"],
        [None, "new 1"],
    ]
    assert rows[0]["prompt"].endswith("Please select the correct answer from the choices above.")
    page = (tmp_path / "page" / "index.html").read_text()
    assert "old: partial, only some rows of the benchmarks were asked." in page
    assert "new: 2 samples a row, each a row of its own here." in page


def test_an_earlier_page_is_replaced_and_anything_else_is_left_alone(tmp_path: Path, data_dir: Path) -> None:
    old = evaluation(tmp_path / "a", "old", ("0",))
    for _ in range(2):
        make_page(tmp_path / "root", str(old), None, data_dir, None)
    assert [path.name for path in (tmp_path / "root" / "pages").iterdir()] == ["old"]
    with pytest.raises(ValueError, match="holds something that is no page of ours"):
        make_page(tmp_path / "root", str(old), None, data_dir, data_dir)
    assert (data_dir / FILES["mmstar"]).is_file()


def test_what_is_missing_is_named(tmp_path: Path, data_dir: Path) -> None:
    with pytest.raises(ValueError, match=r"no file .*MMStar.tsv"):
        make_page(tmp_path, str(evaluation(tmp_path / "a", "old", ("0",))), None, tmp_path, tmp_path / "page")
    with pytest.raises(ValueError, match=r"no row with the index '9', which was answered"):
        make_page(tmp_path, str(evaluation(tmp_path / "b", "old", ("9",))), None, data_dir, tmp_path / "page")
    (tmp_path / "other").mkdir()
    write(tmp_path / "other" / FILES["mmstar"], [{**ROWS["mmstar"], "question": "What else?"}])
    with pytest.raises(ValueError, match=r"row '0' is not the question that was answered"):
        make_page(tmp_path, str(tmp_path / "a"), None, tmp_path / "other", tmp_path / "page")
    with pytest.raises(ValueError, match="no evaluation of `r1vl eval`"):
        make_page(tmp_path, str(data_dir / FILES["mmstar"]), None, data_dir, tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_what_score_wrote_is_a_run_too(tmp_path: Path, data_dir: Path) -> None:
    said, rows = tmp_path / "said.jsonl", tmp_path / "scored.jsonl"
    said.write_text("".join(json.dumps({"index": index, "response": f"It is {letter}"}) + "\n" for index, letter in enumerate("BA")))
    assert r1vl("score", "mmstar", "--data", data_dir / FILES["mmstar"], "--responses", said, "--rows", rows).returncode == 0
    make_page(tmp_path / "root", str(evaluation(tmp_path / "a", "old", ("0",))), str(rows), data_dir, tmp_path / "page")
    shown = json.loads(told(tmp_path / "page").split(",", 1)[1][:-3])
    assert [row["answers"][1]["rulings"] for row in shown] == [
        {"paper": ["B", True, "option letter", "rule"]},
        {"paper": ["A", False, "option letter", "rule"]},
    ]
    assert shown[0]["answers"][0]["pieces"][0][2][0][0] == "old 0"


@pytest.mark.parametrize("line", ['{"index": "0", "correct": true}', "[]", '{"benchmark": "no", "index": "0"}', ""])
def test_rows_without_a_response_are_named(line: str, tmp_path: Path, data_dir: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(line)
    with pytest.raises(ValueError, match="r1vl score --rows"):
        make_page(tmp_path / "root", str(rows), None, data_dir, tmp_path / "page")
