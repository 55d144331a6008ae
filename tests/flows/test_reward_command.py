"""r1vl reward: every response scored in order, every mistake named with its file, its line and the cure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1vl_core.data.database import write_curated, write_key_steps
from r1vl_core.reasoning.paths import render
from r1vl_core.records import Question
from tests.core.reasoning.honest_paths import QUESTIONS
from tests.flows.command import r1vl

PATH = render("a board", "add, then halve", ["3 + 7 = 10", "\\frac{10}{2} = 5"], "5")
OURS = {"id": "q1", "question": "?", "answer": "5", "key_steps": [["3 + 7 = 10"], ["10 / 2 = 5"], ["never said"]]}
PAPER = {
    "image_path": "1.png",
    "problem": "How many?\n(A) 4\n(B) 5",
    "solution": render("a", "b", ["2 + 3 = 5"], "B"),
    "key_steps": {"Steps": [["2 + 3 = 5"]]},
}


def lines(path: Path, *records: Any) -> Path:
    path.write_text("".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records), encoding="utf-8")
    return path


def scored(questions: Path, responses: Path, *options: str) -> list[dict[str, Any]]:
    done = r1vl("reward", "--questions", questions, "--responses", responses, "--json", *options)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_one_object_a_response_in_order_with_everything_that_explains_it(tmp_path: Path) -> None:
    questions = lines(
        tmp_path / "q.jsonl", OURS, {"id": 7, "question": "Which?", "answer": "C", "key_steps": ["57"], "choices": {"A": "1", "C": "57"}}
    )
    responses = lines(
        tmp_path / "r.jsonl",
        {"id": 7, "response": ""},
        {"id": "q1", "response": PATH},
        {"id": "7", "response": "### The final answer is: 57"},
    )
    first, second, third = scored(questions, responses)
    assert (first["id"], first["verdict"], first["total"], first["missed"]) == (
        7,
        "absent",
        0.0,
        [{"index": 0, "forms": ["57"], "unsaid": None}],
    )
    assert set(first["invalid_reasons"]) == {"missing_description", "missing_rationale", "missing_steps", "missing_answer"}
    assert second == {
        "id": "q1",
        "step_rar": pytest.approx(1 + 0.1 * 2 / 3),
        "step_rvr": 1.0,
        "total": pytest.approx(2 + 0.1 * 2 / 3),
        "k": pytest.approx(2 / 3),
        "verdict": "correct",
        "rule": "exact",
        "answer": "5",
        "matched": [
            {"index": 0, "form": "3 + 7 = 10", "span": [PATH.index("3 + 7"), PATH.index("3 + 7") + 10], "text": "3 + 7 = 10"},
            {"index": 1, "form": "10 / 2 = 5", "span": [PATH.index("\\frac"), PATH.index("\\frac") + 16], "text": "\\frac{10}{2} = 5"},
        ],
        "missed": [{"index": 2, "forms": ["never said"], "unsaid": None}],
        "invalid_reasons": [],
    }
    assert (third["id"], third["verdict"], third["rule"]) == ("7", "correct", "choice_text")


def test_r1vl_10k_is_read_as_it_is_published(tmp_path: Path) -> None:
    records = [PAPER, {**PAPER, "solution": "5", "key_steps": None}, {**PAPER, "id": "named", "key_steps": [{"Steps": ["2 + 3 = 5"]}]}]
    responses = [{"id": name, "response": PAPER["solution"]} for name in (1, 2, "named")]
    for questions in (lines(tmp_path / "q.jsonl", *records), lines(tmp_path / "q.json", json.dumps(records, indent=1))):
        found = scored(questions, lines(tmp_path / "r.jsonl", *responses))
        assert [one["total"] for one in found] == pytest.approx([2.1, 2.0, 2.1])
        assert [one["verdict"] for one in found] == ["correct"] * 3


@pytest.mark.parametrize("kind", ["curated", "key_steps"])
def test_a_database_of_ours(kind: str, tmp_path: Path) -> None:
    asked = [replace(question, image="1.png", image_sha256="00") for question in QUESTIONS]
    path = tmp_path / f"{kind}.duckdb"
    if kind == "curated":
        write_curated(path, [replace(question, key_steps=()) for question in asked], [])
    else:
        write_key_steps(path, asked)
    responses = lines(tmp_path / "r.jsonl", *({"id": question.id, "response": question.reference_path} for question in asked))
    total = 2.0 if kind == "curated" else 2.1
    assert [one["total"] for one in scored(path, responses)] == pytest.approx([total] * len(asked))


def test_settings_and_the_table(tmp_path: Path) -> None:
    questions = lines(tmp_path / "q.jsonl", {**OURS, "key_steps": [["3 + 7 = 10"], ["10 / 2 = 5"]]})
    listed = render("a red board", "add, then halve", ["3 + 7 = 10, 10 / 2 = 5", "so it is settled"], "5")
    responses = lines(tmp_path / "r.jsonl", {"id": "q1", "response": listed}, {"id": "q1", "response": "?"})
    (paper, _), (strict, _) = (scored(questions, responses, "--alpha", "1", "--hardening", name) for name in ("none", "strict"))
    assert (paper["total"], strict["total"]) == (3.0, 2.0)
    assert [one["unsaid"] for one in strict["missed"]] == ["listed", "listed"]
    table = r1vl("reward", "--questions", questions, "--responses", responses).stdout.splitlines()
    assert len(table) == 4
    assert table[1].split()[:6] == ["q1", "1.100", "1.000", "2.100", "1.000", "correct"]
    assert table[-1].split() == ["mean", "of", "2", "0.550", "0.500", "1.050", "0.500", "50.0%", "correct"]


def test_responses_come_from_the_standard_input_too(tmp_path: Path) -> None:
    questions = lines(tmp_path / "q.jsonl", OURS)
    done = r1vl("reward", "--questions", questions, "--responses", "-", "--json", given='\ufeff{"id": "q1", "response": "\\u00e9"}\n\n')
    assert (done.returncode, json.loads(done.stdout)["verdict"]) == (0, "absent")


def test_questions_come_from_the_standard_input_too(tmp_path: Path) -> None:
    responses = lines(tmp_path / "r.jsonl", {"id": "q1", "response": PATH})
    done = r1vl("reward", "--questions", "-", "--responses", responses, "--json", given=json.dumps(OURS))
    assert (done.returncode, json.loads(done.stdout)["verdict"]) == (0, "correct")
    broken = r1vl("reward", "--questions", "-", "--responses", responses, given="{")
    assert (broken.returncode, broken.stdout) == (2, "")
    assert "standard input, line 1: broken JSON" in broken.stderr


def test_the_table_s_header_waits_for_a_row_and_a_missing_answer_is_called_that(tmp_path: Path) -> None:
    questions = lines(tmp_path / "q.jsonl", OURS)
    for responses in (tmp_path / "none.jsonl", lines(tmp_path / "bad.jsonl", {"id": "q9", "response": ""})):
        done = r1vl("reward", "--questions", questions, "--responses", responses)
        assert (done.returncode, done.stdout) == (2, "")
    empty = r1vl("reward", "--questions", questions, "--responses", lines(tmp_path / "r.jsonl"))
    assert (empty.returncode, empty.stdout) == (0, "no responses\n")
    row = r1vl("reward", "--questions", questions, "--responses", lines(tmp_path / "r.jsonl", {"id": "q1", "response": ""})).stdout
    assert "absent   no answer, missing_description" in row


def test_questions_may_come_through_a_pipe(tmp_path: Path) -> None:
    pipe, responses = tmp_path / "pipe", lines(tmp_path / "r.jsonl", {"id": "q1", "response": PATH})
    os.mkfifo(pipe)
    with subprocess.Popen([sys.executable, "-c", f"open({str(pipe)!r}, 'w').write({json.dumps(OURS) + chr(10)!r})"]):
        assert scored(pipe, responses)[0]["verdict"] == "correct"


def test_a_reader_that_leaves_early_is_no_failure(tmp_path: Path) -> None:
    questions = lines(tmp_path / "q.jsonl", OURS)
    responses = lines(tmp_path / "r.jsonl", *([{"id": "q1", "response": PATH}] * 5000))
    command = [sys.executable, "-m", "flows", "reward", "--questions", str(questions), "--responses", str(responses), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["id"] == "q1"
        process.stdout.close()
        assert (process.stderr.read(), process.wait(timeout=60)) == (b"", 0)


def question(**changed: Any) -> dict[str, Any]:
    return {name: value for name, value in {**OURS, **changed}.items() if value != "gone"}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ('{"id": "q2", ', "line 2: broken JSON"),
        ("[1]", "line 2: a list instead of an object"),
        ('{"id": NaN}', "line 2: NaN is no JSON"),
        ('{"id": "a", "id": "b"}', "line 2: the field 'id' is given twice"),
        ("[" * 100_000, "line 2: nested too deeply"),
        (question(), "line 2: the id 'q1' stands in line 1 already"),
        (question(id="gone"), "line 2: no field 'id'"),
        (question(id=None), "line 2: id is null"),
        (question(id=True), "line 2: id is a truth value"),
        (question(id=""), "line 2: id is empty"),
        (question(id="q2", question="gone"), "line 2: no field 'question'"),
        (question(id="q2", answer=5), "line 2: answer is a number"),
        (question(id="q2", answer=" "), "line 2: answer is empty"),
        (question(id="q2", key_steps="gone"), "line 2: no field 'key_steps'"),
        (question(id="q2", key_steps="6"), "line 2: key_steps is a text"),
        (question(id="q2", key_steps=[["6"], []]), "line 2: key step 1 is empty"),
        (question(id="q2", key_steps=[["6", " "]]), "line 2: key step 0 holds an empty form"),
        (question(id="q2", key_steps=[["..."]]), "line 2: question q2: key step 0"),
        (question(id="q2", key_steps=[[6]]), "line 2: key step 0 holds a number"),
        (question(id="q2", choices=["A"]), "line 2: choices is a list"),
        (question(id="q2", choices={"AB": "1"}), "line 2: choices: 'AB' is not a letter"),
        (question(id="q2", choices={"A": "1", "a": "2"}), "line 2: choices: a letter is given twice"),
        (question(id="q2", answer="(D)", choices={"A": "1", "B": "2"}), "line 2: answer '(D)' is none of the choices A, B"),
        (question(id="q2", choices={"A": 1}), "line 2: choices: A is a number"),
        ('{"id": "q2", "question": "\\ud800", "answer": "5", "key_steps": []}', "line 2: question holds half of a surrogate pair"),
    ],
)
def test_a_wrong_question_is_named(record: Any, message: str, tmp_path: Path) -> None:
    done = r1vl("reward", "--questions", lines(tmp_path / "q.jsonl", OURS, record), "--responses", lines(tmp_path / "r.jsonl"))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"q.jsonl, {message}" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ('{"id": "q1"', "line 2: broken JSON"),
        ('"text"', "line 2: a text instead of an object"),
        ({"id": "q9", "response": "x"}, "line 2: no question with the id 'q9'"),
        ({"id": "q1"}, "line 2: no field 'response' (there is id)"),
        ({"id": "q1", "response": None}, "line 2: response is null"),
        ({"id": 1.5, "response": ""}, "line 2: id is a number"),
    ],
)
def test_a_wrong_response_is_named_after_those_before_it_are_scored(record: Any, message: str, tmp_path: Path) -> None:
    responses = lines(tmp_path / "r.jsonl", {"id": "q1", "response": PATH}, record)
    done = r1vl("reward", "--questions", lines(tmp_path / "q.jsonl", OURS), "--responses", responses, "--json")
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 1
    assert f"r.jsonl, {message}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    questions = lines(tmp_path / "q.jsonl", OURS)
    for name, content, message in (("none.jsonl", None, "no such file"), ("bad.jsonl", b"\xff\xfe{}\n", "line 1: byte 0 is not UTF-8")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        for arguments in (
            ("--questions", tmp_path / name, "--responses", questions),
            ("--questions", questions, "--responses", tmp_path / name),
        ):
            done = r1vl("reward", *arguments)
            assert done.returncode == 2
            assert message in done.stderr
            assert "Traceback" not in done.stderr
    assert "holds no question" in r1vl("reward", "--questions", lines(tmp_path / "e.jsonl"), "--responses", questions).stderr
    assert r1vl("reward", "--questions", questions, "--responses", questions, "--alpha", "nan").returncode == 2


def test_scoring_needs_no_torch() -> None:
    code = "import sys, flows.scoring; print(sorted({'torch', 'transformers', 'prefect', 'mlflow', 'duckdb', 'polars'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def write_questions(path: Path, questions: tuple[Question, ...]) -> Path:
    return lines(
        path,
        *(
            {
                "id": one.id,
                "question": one.text,
                "answer": one.answer,
                "choices": dict(one.choices) or None,
                "key_steps": [list(forms) for forms in one.key_steps],
                "reference_path": one.reference_path,
            }
            for one in questions
        ),
    )


def test_the_audit_of_files_ends_in_a_table_and_a_page(tmp_path: Path) -> None:
    questions = write_questions(tmp_path / "q.jsonl", QUESTIONS)
    good = ({"id": one.id, "response": one.reference_path} for one in QUESTIONS)
    responses = lines(tmp_path / "r.jsonl", *good, *({"id": one.id, "response": "no"} for one in QUESTIONS))
    page = tmp_path / "audit.html"
    done = r1vl("audit-rewards", "--questions", questions, "--responses", responses, "--page", page)
    assert (done.returncode, done.stderr) == (0, "")
    assert "list in one step" in done.stdout
    assert "strict: 100.0% of 8 honest paths keep the paper's reward (100.0% by the rules alone)" in done.stdout
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    plain = json.loads(
        r1vl("audit-rewards", "--questions", questions, "--page", page, "--json", "--hardening", "strict", "--limit", "4").stdout
    )
    assert plain["attacked"]["strict"]["num_honest"] == 4
    assert plain["sampled"] == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "run the pipeline first"),
        (["--questions", "{questions}"], "nothing to audit"),
        (["--questions", "none.jsonl"], "no such file"),
        (["--questions", "{questions}", "--responses", "{responses}"], "no question with the id 'q9'"),
    ],
)
def test_an_audit_of_nothing_is_said_in_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    files = {"questions": lines(tmp_path / "q.jsonl", OURS), "responses": lines(tmp_path / "r.jsonl", {"id": "q9", "response": ""})}
    done = r1vl("audit-rewards", "--root", tmp_path / "root", *(argument.format(**files) for argument in arguments))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_response_with_half_a_surrogate_pair_is_scored(tmp_path: Path) -> None:
    responses = lines(tmp_path / "r.jsonl", '{"id": "q1", "response": "\\ud83d\\n### The final answer is: \\udc00 6"}')
    done = r1vl("reward", "--questions", lines(tmp_path / "q.jsonl", OURS), "--responses", responses, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["answer"] == "\udc00 6"


@pytest.mark.parametrize("option", ["--questions", "--responses"])
def test_a_compressed_file_is_named_as_such(option: str, tmp_path: Path) -> None:
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(b"\x1f\x8b\x08\x00")
    files = {"--questions": lines(tmp_path / "q.jsonl", OURS), "--responses": lines(tmp_path / "r.jsonl")} | {option: packed}
    done = r1vl("reward", *[part for pair in files.items() for part in pair])
    assert done.returncode == 2
    assert "packed.jsonl.gz: compressed with gzip; unpack it first" in done.stderr
