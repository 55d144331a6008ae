"""r1vl compare: every way to name a run, what is said of it, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from flows.comparing import print_comparison
from flows.results import RunResult, StageOutcome, save_result
from r1vl_core.data import responses
from r1vl_core.data.responses import AskedRow, Evaluation, ResponseRow, VerdictRow
from r1vl_core.evaluation.evaluate import write_responses
from r1vl_core.records import ScoredResponse
from tasks.recipe import Recipe
from tasks.store import Artifact, Store


def evaluation(root: Path, policy: str, right: Sequence[bool], profile: str = "paper", **changed: Any) -> Artifact:
    """An evaluation in the store: DynaMath, two variants a seed, every verdict by one profile."""

    def build(folder: Path) -> None:
        about = {"partial": False, "where_clause": None, "row_limit": None, **changed}
        asked = [AskedRow("dynamath", str(i), "algebra", "?", "1", str(i // 2)) for i in range(len(right))]
        said = [ResponseRow("dynamath", str(i), 0, "1", 3, False) for i in range(len(right))]
        ruled = [VerdictRow("dynamath", str(i), 0, profile, "1", one, "correct", "number", "rule") for i, one in enumerate(right)]
        head = Evaluation(policy, policy, "reasoning", {}, datetime(2026, 11, 23), **about)
        responses.write(folder / responses.FILE, head, asked, said, ruled)

    return Store(root).put(Recipe("evaluation", 1, {"policy": policy, "right": list(right)}, {}), build)


def sampled(folder: Path, policy: str, right: Sequence[str]) -> Path:
    """An evaluation with several samples a row, + for a right one; MMStar, whose rows stand alone."""
    folder.mkdir()
    asked = [AskedRow("mmstar", str(i), "math", "?", "B", None) for i in range(len(right))]
    said = [ResponseRow("mmstar", str(i), sample, "B", 3, False) for i, marks in enumerate(right) for sample in range(len(marks))]
    ruled = [
        VerdictRow("mmstar", str(i), sample, "paper", "B", mark == "+", "correct", "letter", "rule")
        for i, marks in enumerate(right)
        for sample, mark in enumerate(marks)
    ]
    head = Evaluation(policy, policy, "reasoning", {}, datetime(2026, 11, 23), False, None, None)
    responses.write(folder / responses.FILE, head, asked, said, ruled)
    return folder


def rows(path: Path, right: Sequence[bool], **fields: Any) -> Path:
    lines = [
        json.dumps({"index": str(i), "correct": one, "benchmark": "mmstar", "profile": "paper", **fields}) for i, one in enumerate(right)
    ]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def pipeline(folder: Path, warmup: Sequence[bool], stepgrpo: Sequence[bool], partial: dict[str, int] | None = None) -> Path:
    folder.mkdir()
    evaluated(folder, warmup, stepgrpo, partial)
    return folder


def evaluated(folder: Path, warmup: Sequence[bool], stepgrpo: Sequence[bool], partial: dict[str, int] | None = None) -> None:
    for name, right in (("warmup", warmup), ("stepgrpo", stepgrpo)):
        scored = [ScoredResponse(str(i), "", "", "", "", "correct" if one else "wrong", "", 1, False) for i, one in enumerate(right)]
        write_responses(folder / f"{name}.parquet", scored)
    (folder / "summary.json").write_text(json.dumps({"partial": partial}))


def compared(
    capsys: pytest.CaptureFixture[str], root: Path, first: str | Path, second: str | Path | None, profile: str | None = None
) -> Any:
    print_comparison(root, str(first), None if second is None else str(second), profile, as_json=True)
    return json.loads(capsys.readouterr().out)


def test_a_run_goes_by_key_policy_folder_and_file_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = evaluation(tmp_path, "old", [False] * 20), evaluation(tmp_path, "new", [True] * 20)
    expected = compared(capsys, tmp_path, first.path, second.path)
    assert (expected["first"], expected["second"], expected["profile"]) == ("old", "new", "paper")
    (found,) = expected["benchmarks"]
    assert (found["num_rows"], found["num_clusters"], found["difference"]) == (20, 10, 1.0)
    assert found["p_value"] == 2 / 2**10 > found["p_mcnemar"]
    assert found["gained"] == [str(i) for i in range(20)]
    for one, other in ((first.key[:12], second.key), ("old", "new"), (first.path / responses.FILE, second.path / responses.FILE)):
        assert compared(capsys, tmp_path, one, other) == expected


def test_a_policys_newest_evaluation_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluation(tmp_path, "tiny", [False] * 8)
    evaluation(tmp_path, "tiny", [True] * 8)
    assert (
        compared(capsys, tmp_path, "tiny", rows(tmp_path / "r.jsonl", [True] * 8, benchmark="dynamath"))["benchmarks"][0]["first_accuracy"]
        == 1.0
    )


def test_a_pipelines_two_policies_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pipeline(tmp_path / "a", [False] * 20, [True] * 19 + [False], partial={"answered": 20, "all": 600})
    found = compared(capsys, tmp_path, folder, None)
    assert (found["first"], found["second"]) == ("warm-up", "StepGRPO")
    assert found["overall"]["sentence"].startswith("StepGRPO beats warm-up on all rows together: +95.0 points [")
    assert "warm-up: partial, the first 20 of 600 rows" in found["notes"]
    other = pipeline(tmp_path / "b", [True] * 20, [True] * 20)
    names = compared(capsys, tmp_path, f"{folder}:stepgrpo", other)
    assert (names["first"], names["second"]) == (f"StepGRPO ({folder}:stepgrpo)", f"StepGRPO ({other})")


def test_rows_in_one_run_alone_are_left_out_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = rows(tmp_path / "old.jsonl", [False] * 12), rows(tmp_path / "new.jsonl", [True] * 10)
    print_comparison(tmp_path, str(first), str(second), None, as_json=False)
    shown = capsys.readouterr().out
    assert "mmstar: 10 common rows, of 12 and 10" in shown
    assert "new beats old on mmstar: +100.0 points" in shown
    assert max(map(len, shown.splitlines())) < 120


REFUSED = {
    "no run": (["nope", "nope"], None, "no run 'nope' under"),
    "one policy": (["new"], None, "evaluated one policy; give a second RUN"),
    "no verdicts": (["new", "old"], "strict", "no verdicts by the profile strict"),
    "another profile": (["r.jsonl", "s.jsonl"], None, "is judged by paper, .* by strict; give --profile"),
    "asked for another": (["r.jsonl", "r.jsonl"], "strict", "judged by paper, wanted strict"),
    "no benchmark": (["r.jsonl", "new"], None, "no benchmark in common: the first has mmstar, the second dynamath"),
    "no verdict": (["bad.jsonl", "new"], None, "bad.jsonl, line 1: no verdict"),
    "twice": (["twice.jsonl", "new"], None, "row '0' has a verdict already"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_compared_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for policy in ("old", "new"):
        evaluation(tmp_path / "root", policy, [True] * 4)
    rows(Path("r.jsonl"), [True])
    rows(Path("s.jsonl"), [True], profile="strict")
    Path("bad.jsonl").write_text('{"index": "0"}\n')
    Path("twice.jsonl").write_text('{"index": "0", "correct": true}\n' * 2)
    runs, profile, said = REFUSED[name]
    with pytest.raises(ValueError, match=said):
        print_comparison(tmp_path / "root", runs[0], runs[1] if len(runs) > 1 else None, profile, as_json=True)


def test_samples_of_a_row_are_one_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = sampled(tmp_path / "old", "old", ["++--", "----", "+---"])
    new = sampled(tmp_path / "new", "new", ["++++", "--++", "++--"])
    found = compared(capsys, tmp_path, old, new)
    (one,) = found["benchmarks"]
    assert (one["num_rows"], one["num_samples_first"], one["num_samples_second"], one["num_clusters"]) == (3, 4, 4, None)
    assert (one["first_accuracy"], one["second_accuracy"]) == (3 / 12, 8 / 12)  # the mean over all samples, as r1vl eval has it
    assert one["p_value"] == 2 / 2**3  # three rows that gained, however often each was asked
    assert (one["p_mcnemar"], one["test"]) == (None, "bootstrap and sign-flip test over rows")
    assert (one["gained"], one["lost"], found["notes"]) == (["0", "1", "2"], [], [])


def test_one_response_a_row_against_several_leaves_none_out_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = sampled(tmp_path / "a", "old", ["+", "-"]), sampled(tmp_path / "b", "new", ["+-", "++"])
    (one,) = compared(capsys, tmp_path, *runs)["benchmarks"]
    assert (one["num_rows"], one["num_rows_first"], one["num_rows_second"]) == (2, 2, 2)
    assert (one["first_accuracy"], one["second_accuracy"]) == (0.5, 0.75)
    print_comparison(tmp_path, str(runs[0]), str(runs[1]), None, as_json=False)
    shown = capsys.readouterr().out
    assert "mmstar: 1 and 2 responses a row; compared is the share of right ones, row by row" in shown
    assert "mmstar: bootstrap and sign-flip test over rows" in shown


def test_it_is_said_which_run_is_partial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, part = evaluation(tmp_path, "tiny", [True] * 6), evaluation(tmp_path, "tiny", [True] * 4, partial=True)
    found = compared(capsys, tmp_path, whole.key[:8], part.key[:8])
    assert found["notes"] == [f"tiny ({part.key[:8]}): partial, only some rows were asked"]
    same = compared(capsys, tmp_path, "tiny", "tiny")
    assert (same["first"], same["second"]) == ("tiny (first)", "tiny (second)")
    assert same["notes"][-1] == f"both are the same evaluation, {part.path / responses.FILE}"


def test_a_run_goes_by_what_r1vl_eval_and_r1vl_results_print_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = evaluation(tmp_path, "tiny", [True] * 4)
    for given in (made.key[:12], made.digest[:12], made.digest, made.path, made.path / responses.FILE):
        assert compared(capsys, tmp_path, given, rows(tmp_path / "r.jsonl", [True], benchmark="dynamath"))["first"] == "tiny"
    run_id = "2bcde22e-e1da-40dc-9edd-7e9087d7d06d"
    kept = Store(tmp_path).put(Recipe("evaluate", 1, {}, {}), lambda folder: evaluated(folder, [False] * 3, [True] * 3))
    stages = {"evaluate": StageOutcome("built", 1.0, kept.key, kept.digest)}
    save_result(tmp_path, RunResult(run_id, "mine", 1, "COMPLETED", stages), is_last=True)
    expected = compared(capsys, tmp_path, "last", None)
    for given in (run_id, run_id[:8], "mine", "mine seed 1", kept.digest[:12]):
        assert compared(capsys, tmp_path, given, None) == expected
    with pytest.raises(
        ValueError,
        match=r"did you mean mine seed 1\? there are tiny \(key [0-9a-f]{12}, of [0-9-]+ [0-9:]+ UTC\), mine seed 1 \(run 2bcde22e-.*\)",
    ):
        print_comparison(tmp_path, "mine sed 1", None, None, as_json=True)


def test_a_checkpoints_folder_names_its_newest_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    made = evaluation(tmp_path / "root", str(checkpoint), [True] * 4)
    assert compared(capsys, tmp_path / "root", checkpoint, made.key)["first"] == f"{checkpoint} ({checkpoint})"
    with pytest.raises(ValueError, match="holds no evaluation"):
        print_comparison(tmp_path / "root", str(tmp_path), str(checkpoint), None, as_json=True)


def test_it_is_said_where_right_rows_are_not_the_published_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, told in (("mme", True), ("mmstar", False)):
        first, second = (rows(tmp_path / f"{side}.jsonl", [True] * 4, benchmark=name) for side in ("a", "b"))
        print_comparison(tmp_path, str(first), str(second), None, as_json=False)
        assert (f"{name}: compared are right rows; the published number" in capsys.readouterr().out) == told
