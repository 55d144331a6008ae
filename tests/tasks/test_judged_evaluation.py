"""`r1vl eval --judge`: asked where no rule decides, after the answers, and never twice; who was evaluated is not asked again."""

from __future__ import annotations

import json
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from flows.evaluating import Asked, evaluate
from r1vl_core.config import Judge, Runtime
from r1vl_core.data import responses as stored
from r1vl_core.data.teacher.budget import TeacherStopped
from r1vl_core.evaluation.published import FILES
from tests.chat_server import Reply, fails, says, serving
from tests.core.evaluation.benchmarks.files import FIXTURES
from tests.flows.command import r1vl

ANSWERS = ("Yes", "perhaps", "No", "I should think so", "yes and no")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("mme", "mathverse"):
        (tmp_path / FILES[name]).symlink_to(FIXTURES / f"{name}.tsv")
    return tmp_path


def agrees(request: dict[str, Any], number: int) -> Reply:
    decide = "Right answer:" in request["messages"][0]["content"]
    return says(json.dumps({"verdict": "correct"} if decide else {"answer": "Yes"}))


def evaluated(data: Path, model: str, judge: str | None, capsys: pytest.CaptureFixture[str], **dials: Any) -> dict[str, Any]:
    asked = Asked(None, "mme,mathverse", data, endpoint=model, model="served-1", limit=8)
    settings = Judge(**{"base_url": judge, "model": "judge-1", "max_attempts": 1, **dials}) if judge else None
    evaluate(Runtime(root=data / "root"), asked, "paper", settings, as_json=True)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def by_whom(result: dict[str, Any], benchmark: str) -> Counter[str]:
    verdicts = stored.read_verdicts(Path(result["responses"]), "paper")
    return Counter(one.decided_by for one in verdicts if one.benchmark == benchmark)


def test_it_decides_what_no_rule_does_and_a_second_time_nobody_is_asked(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = cycle(ANSWERS)
    with serving(lambda _request, _number: says(next(answers))) as model, serving(agrees) as judge:
        without = evaluated(data, model.url, None, capsys)
        num_asked = len(model.requests)
        first = evaluated(data, model.url, judge.url, capsys)
        assert len(model.requests) == num_asked == 16
    again = evaluated(data, model.url, judge.url, capsys)  # both are gone
    assert (without["judge"], first["judge"], again["state"]) == (None, "judge-1", "cached")
    assert {**again, "state": ""} == {**first, "state": ""}
    assert by_whom(without, "mme").keys() == {"rule", "unresolved"}
    assert by_whom(first, "mme") == {"rule": by_whom(without, "mme")["rule"], "judge": by_whom(without, "mme")["unresolved"]}
    table = first["benchmarks"]["mathverse"]
    assert (table["published"], table["share_unresolved"]) == (100.0, 0.0)
    assert table["share_judged"] == by_whom(first, "mathverse")["judge"] / 8
    assert stored.read_evaluation(Path(first["responses"])).settings["judge"]["model"] == "judge-1"


def test_its_verdicts_are_those_of_r1vl_score(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = cycle(ANSWERS)
    with serving(lambda _request, _number: says(next(answers))) as model, serving(agrees) as judge:
        found = evaluated(data, model.url, judge.url, capsys)
        rows, given = stored.read_responses(Path(found["responses"])), data / "mme.jsonl"
        given.write_text("".join(json.dumps({"index": r.row_index, "response": r.response}) + "\n" for r in rows if r.benchmark == "mme"))
        scored = r1vl(
            *("score", "mme", "--data", data / FILES["mme"], "--responses", given, "--judge", judge.url, "--judge-model", "judge-1"),
            *("--json", "--root", data / "root"),
        )
    assert json.loads(scored.stdout)["column"] == found["benchmarks"]["mme"]["published"]


def test_rows_it_failed_at_are_asked_again_and_no_others(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def half(request: dict[str, Any], number: int) -> Reply:
        return says("no JSON") if number <= 4 else agrees(request, number)

    with serving(lambda _request, _number: says("perhaps")) as model, serving(half) as judge:
        first = evaluated(data, model.url, judge.url, capsys, concurrency=1)
        assert by_whom(first, "mme")["unresolved"] > 0
        assert evaluated(data, model.url, judge.url, capsys)["state"] == "built"
    assert len(model.requests) == 16


def test_a_judge_that_is_out_ends_it_and_costs_no_answer(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda _request, _number: says("perhaps")) as model:
        with serving(lambda _request, _number: fails(402, "no credit")) as judge, pytest.raises(TeacherStopped, match="no credit"):
            evaluated(data, model.url, judge.url, capsys)
        with serving(agrees) as judge:
            assert by_whom(evaluated(data, model.url, judge.url, capsys), "mme") == {"judge": 8}
    assert len(model.requests) == 16


def test_the_budget_is_that_of_the_whole_evaluation(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda _request, _number: says("perhaps")) as model, serving(agrees) as judge:
        with pytest.raises(TeacherStopped, match="judge's budget"):
            evaluated(data, model.url, judge.url, capsys, max_tokens=2500, concurrency=1, max_answer_tokens=30)
        asked = len(judge.requests)
        with pytest.raises(TeacherStopped, match="judge's budget"):
            evaluated(data, model.url, judge.url, capsys, max_tokens=2500, concurrency=1, max_answer_tokens=30)
        assert len(judge.requests) == asked > 0


def test_a_judge_for_the_profile_strict_is_refused(data: Path) -> None:
    done = r1vl("eval", "r1vl-tiny", "--data-dir", data, "--profile", "strict", "--judge", "http://h/v1", "--judge-model", "m")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "--judge: the profile strict decides every row by rules" in done.stderr
