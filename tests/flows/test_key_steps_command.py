"""`r1vl key-steps` as people call it, on a small built world and a teacher on loopback."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows.choosing import choose
from r1vl_core.config import Runtime
from r1vl_core.data.database import write_key_steps
from tasks.recipe import Recipe
from tasks.registry import STAGES
from tasks.stages import bring_up_to_date
from tasks.store import Store
from tests.chat_server import Reply, fails, rule_teacher, serving
from tests.core.data.samples import question
from tests.flows.command import r1vl

PRESET = """
[world]
num_questions = 24
num_heldout = 4
seed = 5

[key_steps.teacher]
base_url = "{url}"
model = "teacher-1"
price_in = 1.0
price_out = 5.0
max_attempts = 1
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with key steps by the rules, and the preset they were made by."""
    root = tmp_path_factory.mktemp("root")
    build(root, write_preset(root, "http://127.0.0.1:9/v1"))
    return root


def write_preset(root: Path, url: str) -> str:
    (root / "small.toml").write_text(PRESET.format(url=url))
    return str(root / "small.toml")


def build(root: Path, preset: str, **overrides: str) -> None:
    runtime = Runtime(num_workers=1, device="cpu", root=root)
    bring_up_to_date("key_steps", STAGES, choose(preset, overrides, None), runtime, Store(root))


def key_steps(*arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    return r1vl("key-steps", *arguments, root=root, COLUMNS="100", R1VL_TEACHER_API_KEY="sk-secret")


def test_a_question_is_shown_with_its_picture_its_path_and_where_it_reaches_its_key_steps(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    assert key_steps("export", str(file), root=root).stdout == f"{file}: 24 questions\n"
    record = json.loads(file.read_text().splitlines()[0])
    shown = key_steps("show", record["id"][:12], root=root).stdout
    assert Path(shown.split("picture ")[1].splitlines()[0].strip()).is_file()
    assert record["solution"] in shown
    for forms in record["key_steps"]["Steps"]:
        assert all(form in shown for form in forms)
    assert "(step " in shown
    again = key_steps("export", str(file), root=root)
    assert (again.returncode, again.stderr) == (2, f"r1vl: {file} exists already; give another name or remove it\n")


def test_counts_are_of_sources_steps_forms_and_what_was_set_aside(root: Path) -> None:
    counts = json.loads(key_steps("stats", "--json", root=root).stdout)
    (source,) = counts["sources"]
    assert (source["questions"], source["set_aside"]) == (24, 0)
    assert sum(row["questions"] for row in counts["steps_a_question"]) == 24
    assert sum(row["steps"] * row["questions"] for row in counts["steps_a_question"]) == source["key_steps"]
    assert sum(row["forms"] * row["key_steps"] for row in counts["forms_a_step"]) == source["forms"]
    assert "questions" in key_steps("stats", root=root).stdout


def test_an_estimate_is_of_the_questions_that_the_run_would_ask_about_and_of_no_others(root: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(root, tmp_path / "root"))
    exported = tmp_path / "all.jsonl"
    assert key_steps("export", str(exported), root=root).returncode == 0
    lines = exported.read_text().splitlines(keepends=True)
    half, whole = tmp_path / "half.jsonl", str(exported)
    half.write_text("".join(lines[:12]))
    with serving(rule_teacher) as chat:
        preset = write_preset(root, chat.url)
        arguments = ("--set", "key_steps.teacher.model=drawn", "--sample", "4", "--set", "key_steps.max_questions=6")
        done = key_steps("estimate", preset, *arguments, root=root)
        assert "6 questions with drawn, from a sample of 4 " in done.stdout, done.stderr
        asked = [json.dumps(request) for request in chat.requests]
        build(root, preset, **{"key_steps.extractor": "teacher", "key_steps.teacher.model": "drawn", "key_steps.max_questions": "6"})
        assert len({*asked, *(json.dumps(request) for request in chat.requests)}) == len(chat.requests) == 6 * 3
        rest = key_steps("estimate", preset, "--set", f"key_steps.laid_over={half}", root=root)
        assert "12 questions with teacher-1, from a sample of 12 " in rest.stdout, rest.stderr
        none = key_steps("estimate", preset, "--set", f"key_steps.laid_over={whole}", root=root)
    assert none.returncode == 2
    assert none.stderr.splitlines()[-1] == (
        "r1vl: preset small: every question that is drawn brings its key steps along; no teacher would be asked"
    )


def test_an_estimate_asks_a_sample_whose_answers_the_run_itself_finds(root: Path) -> None:
    with serving(rule_teacher) as chat:
        preset = write_preset(root, chat.url)
        for _ in range(2):
            done = key_steps("estimate", preset, "--sample", "5", root=root)
            assert done.returncode == 0, done.stderr
            assert "24 questions with teacher-1, from a sample of 5" in done.stdout
            sampled = len(chat.requests)
            assert 10 < sampled <= 15
        build(root, preset, **{"key_steps.extractor": "teacher"})
        texts = {json.dumps(request, sort_keys=True) for request in chat.requests}
        assert sampled < len(chat.requests) == len(texts)
    counts = json.loads(key_steps("stats", "--json", root=root).stdout)
    assert counts["cost"][0]["num_calls"] == len(texts)


def test_a_service_that_counts_no_tokens_is_told_apart_from_one_that_takes_many(root: Path) -> None:
    def silent(request: dict[str, Any], number: int) -> Reply:
        body = json.loads(rule_teacher(request, number).body)
        return Reply(json.dumps({"id": "1", "choices": body["choices"]}).encode(), headers={"Content-Type": "application/json"})

    for respond, told in ((silent, 1), (rule_teacher, 0)):
        with serving(respond) as chat:
            done = key_steps(
                "estimate", write_preset(root, chat.url), "--set", f"key_steps.teacher.model=counts-{told}", "--sample", "2", root=root
            )
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("the service counts no tokens: every call is estimated at the most that it can take") == told


def test_what_is_wrong_is_told_in_a_line(root: Path, tmp_path: Path) -> None:
    none = key_steps("show", "zzz", root=root)
    assert (none.returncode, none.stderr.count("\n")) == (2, 1)
    assert "no question whose id begins with 'zzz', or is that in its source, among 24 with key steps" in none.stderr
    assert "an id looks like '" in none.stderr
    several = key_steps("show", "", root=root)
    assert (several.returncode, several.stderr[:24]) == (2, "r1vl: 24 questions have ")
    missing = key_steps("import", str(tmp_path / "none.jsonl"), root=root)
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert "none.jsonl: no such file" in missing.stderr
    folder = key_steps("import", str(tmp_path), root=root)
    assert (folder.returncode, folder.stderr.startswith(f"r1vl: {tmp_path}: this is a folder;")) == (2, True)
    nowhere = key_steps("export", str(tmp_path / "none" / "out.jsonl"), root=root)
    assert (nowhere.returncode, nowhere.stderr) == (
        2,
        f"r1vl: {tmp_path}/none/out.jsonl: no folder {tmp_path}/none; make it, or name another place\n",
    )
    nothing = key_steps("stats", root=tmp_path)
    assert (nothing.returncode, nothing.stderr.count("\n")) == (2, 1)
    unbuilt = key_steps("estimate", write_preset(tmp_path, "http://127.0.0.1:9/v1"), root=tmp_path)
    assert (unbuilt.returncode, unbuilt.stderr.count("\n")) == (2, 1)
    assert "build it first: r1vl run PRESET --until curate" in unbuilt.stderr


def test_a_teacher_that_is_out_ends_with_status_1_and_one_that_refuses_the_key_with_2(root: Path) -> None:
    with serving(lambda request, number: fails(503)) as chat:
        out = key_steps("estimate", write_preset(root, chat.url), "--set", "key_steps.teacher.model=out", root=root)
    assert (out.returncode, "does not answer" in out.stderr) == (1, True)
    with serving(lambda request, number: fails(401, "bad key sk-secret")) as chat:
        locked = key_steps("estimate", write_preset(root, chat.url), "--set", "key_steps.teacher.model=out", root=root)
    assert (locked.returncode, "R1VL_TEACHER_API_KEY" in locked.stderr, "sk-secret" in locked.stderr) == (2, True, False)


@pytest.mark.parametrize("command", ["stats", "show", "export"])
def test_an_artifact_of_another_schema_is_refused_in_one_line(tmp_path: Path, command: str) -> None:
    def older(folder: Path) -> None:
        write_key_steps(folder / "key_steps.duckdb", [question(1)])
        with duckdb.connect(str(folder / "key_steps.duckdb")) as connection:
            connection.execute("UPDATE meta SET schema_version = 1")

    Store(tmp_path).put(Recipe("key_steps", 1, {}, {"curate": "3f2a"}), older)
    arguments = {"show": ("1",), "export": (str(tmp_path / "out.jsonl"),)}.get(command, ())
    told = key_steps(command, *arguments, root=tmp_path)
    assert (told.returncode, told.stdout, told.stderr.count("\n")) == (2, "", 1)
    assert "schema version 1, this program reads 2; run the stage that makes it again" in told.stderr


def test_a_question_is_found_by_the_id_of_its_source(tmp_path: Path) -> None:
    questions = [question(number, source_id=own) for number, own in enumerate(["geo-17", "twice", "twice", None])]
    recipe = Recipe("key_steps", 1, {}, {"curate": "3f2a"})
    Store(tmp_path).put(recipe, lambda folder: write_key_steps(folder / "key_steps.duckdb", questions))
    shown = key_steps("show", "geo-17", root=tmp_path)
    assert shown.stdout.splitlines()[0] == f"question   {questions[0].id}, source mine, there geo-17"
    assert key_steps("show", questions[3].id, root=tmp_path).stdout.splitlines()[0] == f"question   {questions[3].id}, source mine"
    several = key_steps("show", "twice", root=tmp_path)
    assert (several.returncode, several.stderr.count("\n")) == (2, 1)
    assert f"2 questions have the id 'twice' in their sources: {questions[1].id} (source mine), {questions[2].id}" in several.stderr
    none = key_steps("show", "geo-18", root=tmp_path).stderr
    assert f"an id looks like '{questions[0].id}', or its source's own, like 'geo-17'" in none
