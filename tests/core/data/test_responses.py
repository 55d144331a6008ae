"""The file of an evaluation: what is written is read back, in order; keys hold; the same rows have the same digest."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from r1vl_core.data import responses
from r1vl_core.data.responses import AskedRow, Evaluation, ResponseRow, ScoreRow, VerdictRow

EVALUATION = Evaluation("tiny", "3f2a", "reasoning", {"max_new_tokens": 64}, datetime(2026, 11, 23, 6), True, "category = 'a'", 40)
QUESTIONS = [AskedRow("mme", index, "OCR", f"{index}? é", "Yes", "OCR/1.jpg") for index in ("10", "2", "1")]
RESPONSES = [ResponseRow("mme", row.row_index, sample, f"say {sample} \ud800", None, False) for row in QUESTIONS for sample in (0, 1)]
VERDICTS = [VerdictRow("mme", one.row_index, one.sample, "paper", "Yes", True, "correct", "yes or no", "rule") for one in RESPONSES]
SCORES = [ScoreRow("mme", "paper", "published", 200.0)]


def write(path: Path) -> Path:
    responses.write(path, EVALUATION, QUESTIONS, RESPONSES, VERDICTS, SCORES)
    return path


def test_what_is_written_is_read_back_in_order(tmp_path: Path) -> None:
    path = write(tmp_path / responses.FILE)
    assert responses.read_evaluation(path) == EVALUATION
    assert responses.read_questions(path) == QUESTIONS
    read = responses.read_responses(path)
    assert [(one.row_index, one.sample, one.num_tokens) for one in read] == [(one.row_index, one.sample, None) for one in RESPONSES]
    assert read[0].response == "say 0 ?"
    assert responses.read_verdicts(path, "paper") == VERDICTS
    assert responses.read_verdicts(path, "strict") == []
    assert responses.read_scores(path) == SCORES


def test_equal_rows_have_one_digest(tmp_path: Path) -> None:
    assert responses.content_digest(write(tmp_path / "a.duckdb")) == responses.content_digest(write(tmp_path / "b.duckdb"))


def test_a_response_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mme"):
        responses.write(tmp_path / "a.duckdb", EVALUATION, QUESTIONS, [RESPONSES[0], RESPONSES[0]])


def test_what_is_no_such_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.duckdb").write_text("no")
    for name in ("a.duckdb", "missing.duckdb"):
        with pytest.raises(ValueError, match=f"{name}.*r1vl eval"):
            responses.read_questions(tmp_path / name)
