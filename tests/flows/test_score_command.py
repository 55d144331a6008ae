"""r1vl score: existing responses scored, what is wrong with the files named, and nothing else on the way out."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.chat_server import says, serving
from tests.core.evaluation.benchmarks.files import FIXTURES, PICTURE, ROWS, lines, write
from tests.flows.command import r1vl

score = partial(r1vl, "score")


def responses(path: Path, *records: Any) -> Path:
    path.write_text("".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records), encoding="utf-8")
    return path


def said(index: Any, text: Any = "100") -> dict[str, Any]:
    return {"index": index, "response": text}


def test_one_object_with_the_published_number_and_a_line_a_row(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    files = ["--data", FIXTURES / "chartqa.tsv", "--responses", FIXTURES / "chartqa.predictions.jsonl"]
    done = score("chartqa", *files, "--profile", "current", "--json", "--rows", rows)
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert list(result) == ["benchmark", "profile", "num_rows", "column", "unresolved", "tables", "num_missing", "intervals", "judged"]
    assert (result["benchmark"], result["profile"], result["num_rows"], result["num_missing"]) == ("chartqa", "current", 28, 0)
    assert result["column"] == pytest.approx(sum(result["tables"]["split"].values()) / 2)
    expected = {line["index"]: line["current"] for line in lines(FIXTURES / "chartqa.expected.jsonl")}
    assert {line["index"]: line["correct"] for line in lines(rows)} == expected
    first = {"index": "0", "extracted": "14", "correct": True, "rule": "number within 5 %", "decided_by": "rule"}
    assert lines(rows)[0] == {**first, "benchmark": "chartqa", "profile": "current", "group": None, "gold": "14", "response": "14"}


def test_the_table_says_what_no_rule_decided_and_that_a_result_is_partial(tmp_path: Path) -> None:
    data = write(tmp_path / "b.tsv", [ROWS["mmstar"]] * 3)
    done = score("mmstar", "--data", data, "--responses", responses(tmp_path / "r.jsonl", said(0, "B"), said("1", "no idea")))
    assert done.returncode == 0
    assert "mmstar, paper: 50.0000 on 2 rows, PARTIAL: 1 rows of the file have no response" in done.stdout
    assert "decided by no rule, and counted as wrong: 1 (50.0%)" in done.stdout
    assert "95 % interval: 9.4531 to 90.5469" in done.stdout
    assert re.search(r"^  math +50\.0000 +9\.4531 – 90\.5469$", done.stdout, re.M)


CHARTQA = ROWS["chartqa"]
WRONG: dict[str, tuple[str, list[dict[str, str]], list[Any], str]] = {
    "no benchmark": ("nope", [CHARTQA], [said(0)], "no benchmark 'nope'; there are mathvista"),
    "no column": ("mme", [CHARTQA], [said(0)], "no column 'category'"),
    "doubled index": ("chartqa", [CHARTQA, {**CHARTQA, "index": "0"}], [said(0)], "row 2, column 'index': '0' is also the index of row 1"),
    "one number twice": ("chartqa", [CHARTQA, {**CHARTQA, "index": "00"}], [said(0)], "column 'index': the same number as"),
    "missing picture": ("chartqa", [{**CHARTQA, "image": "9"}, CHARTQA], [said(0)], "column 'image': '9' is neither a picture nor"),
    "no picture at all": ("chartqa", [{**CHARTQA, "image": ""}], [said(0)], "holds no row with a picture"),
    "no list": (
        "mathvision",
        [{**ROWS["mathvision"], "choices": "12, 16"}],
        [said(0)],
        "row 1 (index '0'), column 'choices': '12, 16' is no",
    ),
    "no letter": ("mmstar", [{**ROWS["mmstar"], "answer": "16"}], [said(0)], "column 'answer': '16' is no option's letter"),
    "short index": ("hallusionbench", [{**ROWS["hallusionbench"], "index": "7"}], [said(7)], "column 'index': needs six parts"),
    "no metadata": ("mathverse", [{**ROWS["mathverse"], "metadata": "?"}], [said(0)], "column 'metadata': needs a Python dict"),
    "no type": ("dynamath", [{**ROWS["dynamath"], "answer_type": "?"}], [said(0)], "column 'answer_type': '?' is none of float"),
    "no such subtask": ("mme", [{**ROWS["mme"], "category": "colour"}], [said(0)], "column 'category': 'colour' is no subtask"),
    "no such row": ("chartqa", [CHARTQA], [said(0), said(7)], "line 2: no row with the index 7"),
    "two responses": ("chartqa", [CHARTQA], [said(0), said("0")], "line 2: row '0' has a response in line 1 already"),
    "no responses": ("chartqa", [CHARTQA], [], "no response to any row"),
    "broken JSON": ("chartqa", [CHARTQA], ["{"], "line 1: broken JSON"),
    "NaN": ("chartqa", [CHARTQA], ['{"index": NaN, "response": ""}'], "line 1: NaN is no JSON"),
    "no object": ("chartqa", [CHARTQA], [["0", "100"]], "line 1: no object"),
    "no response": ("chartqa", [CHARTQA], [{"index": 0}], "line 1: no field 'response'"),
    "a number": ("chartqa", [CHARTQA], [said(0, 100)], "line 1: response is 100; write a text"),
    "a truth value": ("chartqa", [CHARTQA], [said(True)], "line 1: index is true; write a text or a whole number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    benchmark, rows, records, message = WRONG[name]
    done = score(benchmark, "--data", write(tmp_path / "b.tsv", rows), "--responses", responses(tmp_path / "r.jsonl", *records))
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_verdicts_never_replace_what_is_scored(tmp_path: Path) -> None:
    data = write(tmp_path / "b.tsv", [ROWS["mmstar"]])
    given = responses(tmp_path / "r.jsonl", said("0"))
    before = data.read_bytes(), given.read_bytes()
    (tmp_path / "link.jsonl").symlink_to(given)
    for rows in (data, given, tmp_path / "link.jsonl"):
        done = score("mmstar", "--data", data, "--responses", given, "--rows", rows)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"r1vl: --rows {rows} would write over what is scored; give another file\n"
    assert (data.read_bytes(), given.read_bytes()) == before


def test_a_truncated_picture_does_not_matter(tmp_path: Path) -> None:
    data = write(tmp_path / "b.tsv", [{**CHARTQA, "image": PICTURE[:70] + "*"}])
    done = score("chartqa", "--data", data, "--responses", responses(tmp_path / "r.jsonl", said(0, "\ud800")), "--json")
    assert (done.returncode, json.loads(done.stdout)["column"]) == (0, 0)


def test_responses_to_rows_without_a_picture_are_left_out(tmp_path: Path) -> None:
    data = write(tmp_path / "b.tsv", [CHARTQA, {**CHARTQA, "image": ""}])
    done = score("chartqa", "--data", data, "--responses", responses(tmp_path / "r.jsonl", said(0), said(1)), "--json")
    assert (done.returncode, json.loads(done.stdout)["num_rows"]) == (0, 1)


@pytest.mark.parametrize("option", ["--data", "--responses", "--rows"])
def test_a_file_that_is_not_there(tmp_path: Path, option: str) -> None:
    files: dict[str, Any] = {"--data": write(tmp_path / "b.tsv", [CHARTQA]), "--responses": responses(tmp_path / "r.jsonl", said(0))}
    files[option] = tmp_path / "nowhere" / "file"
    done = score("chartqa", *[part for pair in files.items() for part in pair])
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_judge_is_asked_only_where_it_is_named(tmp_path: Path) -> None:
    data = write(tmp_path / "b.tsv", [ROWS["mmstar"]] * 2)
    given = [
        "mmstar",
        "--data",
        data,
        "--responses",
        responses(tmp_path / "r.jsonl", said(0, "B"), said(1, "hm")),
        "--root",
        tmp_path / "root",
    ]
    with serving(lambda request, number: says('{"answer": "B"}')) as chat:
        assert "decided by no rule, and counted as wrong: 1 (50.0%)" in score(*given).stdout
        assert chat.requests == []
        judged = score(*given, "--judge", chat.url, "--judge-model", "m", "--judge-set", "concurrency=2")
    assert "decided by the judge: 1 (50.0%)\ndecided by no rule, and counted as wrong: 0 (0.0%)" in judged.stdout
    again = score(*given, "--judge", chat.url, "--judge-model", "m", "--json")
    assert json.loads(again.stdout)["judged"] == 1


HOST = ["--judge", "http://h/v1", "--judge-model", "m"]
BAD_JUDGES = {
    "no model": (HOST[:2], "--judge needs --judge-model NAME"),
    "no address": (HOST[2:], "--judge-model needs --judge URL"),
    "address": (["--judge", "nowhere", *HOST[2:]], '--judge: base_url "nowhere" is no address'),
    "nothing to judge": ([*HOST, "--profile", "strict"], "--judge: the profile strict decides every row by rules"),
    "setting": ([*HOST, "--judge-set", "pace=1"], "--judge-set pace: no such setting; there are request, "),
    "value": ([*HOST, "--judge-set", "concurrency=no"], "--judge-set concurrency: must be a whole number"),
}


@pytest.mark.parametrize("name", BAD_JUDGES)
def test_a_judge_that_cannot_be_asked_is_told_in_a_line(name: str, tmp_path: Path) -> None:
    options, problem = BAD_JUDGES[name]
    data = write(tmp_path / "b.tsv", [ROWS["mmstar"]])
    done = score("mmstar", "--data", data, "--responses", responses(tmp_path / "r.jsonl", said(0)), *options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert problem in done.stderr
