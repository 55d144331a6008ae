"""r1vl eval: killed and run again it asks nothing twice; what it prints, keeps and refuses."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from flows.evaluating import Asked, evaluate, following
from r1vl_core.config import Runtime
from r1vl_core.data import responses as stored
from r1vl_core.evaluation.published import FILES
from r1vl_core.handwriting.world import make_world
from r1vl_core.report import Report
from tasks.launch import WARNING
from tasks.stages import StageEvent
from tests.core.evaluation.benchmarks.files import FIXTURES
from tests.flows.command import r1vl
from tests.flows.waiting import wait_until

pytestmark = pytest.mark.timeout(600)  # every evaluation starts a process that loads a model


def command(*arguments: str | Path, root: Path) -> list[str]:
    return [sys.executable, "-m", "flows", "eval", *map(str, arguments), "--root", str(root)]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "COLUMNS": "80", "R1VL_DEVICE": "cpu", **more}


def told(*arguments: str | Path, root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return r1vl("eval", *arguments, root=root, **{"COLUMNS": "80", "R1VL_DEVICE": "cpu", **variables})


def answers_in(root: Path) -> list[list[dict[str, Any]]]:
    """Every row answered so far, in the files of a recipe's scratch."""
    files = sorted((root / "work").glob("benchmarks-*/answers-*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def responses_of(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.returncode == 0, done.stderr
    return {row.row_index: row.response for row in stored.read_responses(Path(json.loads(done.stdout)["responses"]))}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All nine files under their public names; the world's has 40 rows."""
    folder = tmp_path_factory.mktemp("data")
    make_world(folder / "world", 4, 40, 3)
    (folder / FILES["handwriting"]).symlink_to(folder / "world" / "heldout.tsv")
    for name, file in FILES.items():
        if name != "handwriting":
            (folder / file).symlink_to(FIXTURES / f"{name}.tsv")
    return folder


def test_killed_and_run_again_it_asks_nothing_twice_and_ends_the_same(data: Path, tmp_path: Path) -> None:
    asked = ["r1vl-tiny", "--benchmarks", "handwriting", "--data-dir", data, "--max-new-tokens", "40", "--json"]
    small = {"R1VL_TOKEN_BUDGET": "400"}  # a few rows a batch
    root = tmp_path / "killed"
    process = subprocess.Popen(
        command(*asked, root=root), env=environment(**small), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_until(lambda: answers_in(root))
    above = psutil.Process(process.pid)
    for each in [*above.children(recursive=True)[::-1], above]:
        os.kill(each.pid, signal.SIGKILL)
    process.wait()
    before = answers_in(root)
    assert 0 < len(before) < 40
    resumed = told(*asked, root=root, **small)
    assert f"{len(before)} of 40 rows were answered by an earlier run; their answers are kept" in resumed.stderr
    keys = [row[0]["row_index"] for row in before]
    assert len(set(keys)) == len(keys)
    whole = told(*asked, root=tmp_path / "whole", R1VL_NUM_PROCESSES="2")
    assert responses_of(resumed) == responses_of(whole)
    assert len(responses_of(whole)) == 40


def test_whoever_interrupts_it_hears_that_nothing_is_lost(data: Path, tmp_path: Path) -> None:
    asked = ["r1vl-tiny", "--benchmarks", "handwriting", "--data-dir", data, "--max-new-tokens", "40"]
    few = environment(R1VL_TOKEN_BUDGET="400")
    process = subprocess.Popen(command(*asked, root=tmp_path), env=few, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: answers_in(tmp_path))
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130
    assert told.splitlines()[-2:] == ["every answer so far is kept: the same command goes on from there", "r1vl: interrupted"]


def test_a_process_that_was_killed_is_told_with_what_to_do_about_an_evaluation(data: Path, tmp_path: Path) -> None:
    asked = ["r1vl-tiny", "--benchmarks", "handwriting", "--data-dir", data, "--max-new-tokens", "40"]
    few = environment(R1VL_TOKEN_BUDGET="400", R1VL_NUM_PROCESSES="2")
    process = subprocess.Popen(command(*asked, root=tmp_path), env=few, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: answers_in(tmp_path))
    ranks = [each for each in psutil.Process(process.pid).children(recursive=True) if "LOCAL_RANK" in each.environ()]
    os.kill(ranks[-1].pid, signal.SIGKILL)
    _, told = process.communicate()
    assert process.returncode == 1
    assert re.search(r"^r1vl: a process that asks the policy was killed by signal 9.*; every answer is kept: run again", told, re.MULTILINE)
    assert "Traceback" not in told


def test_every_benchmark_stands_in_one_table_and_a_second_time_no_model_is_asked(data: Path, tmp_path: Path) -> None:
    asked = ["r1vl-tiny", "--data-dir", data, "--max-new-tokens", "4", "--where", "index <> '1'"]
    first = told(*asked, root=tmp_path)
    assert first.returncode == 0, first.stderr
    lines = first.stdout.splitlines()
    head = next(place for place, line in enumerate(lines) if line.startswith("Published numbers"))
    assert max(map(len, lines[: head + 12])) <= 80
    assert re.search(r"^dynamath$(\n  .*)*\n  worst_case.subject.+ 0.0 +0.0 – ", first.stdout, re.MULTILINE)
    for shown in ("PARTIAL", "R1-VL-7B*", "63.5", "57.1", "95 % interval", "AVG", "partial numbers", "rows chosen by --where", "built: "):
        assert shown in first.stdout
    again = json.loads(told(*asked, "--profile", "strict", "--json", root=tmp_path, PATH="").stdout)
    assert (again["state"], again["partial"], again["profile"]) == ("cached", True, "strict")
    assert list(again["benchmarks"]) == [name for name in FILES if name != "handwriting"]
    assert again["average"]["cut"] <= again["average"]["exact"]
    path = Path(again["responses"])
    groups = {row.benchmark: row.group_key for row in stored.read_questions(path)}
    assert {name for name, key in groups.items() if key} == {"dynamath", "hallusionbench", "mme"}
    assert {row.profile for row in stored.read_scores(path)} == {"paper", "current", "strict"}
    kept = stored.read_evaluation(path)
    assert (kept.policy, kept.prompt, kept.partial, kept.where_clause) == ("r1vl-tiny", "plain", True, "index <> '1'")


def test_several_samples_have_pass_at_k_and_a_vote(data: Path, tmp_path: Path) -> None:
    asked = ["r1vl-tiny", "--benchmarks", "handwriting", "--data-dir", data, "--limit", "6", "--max-new-tokens", "60"]
    done = told(*asked, "--samples", "3", "--temperature", "0.8", "--json", root=tmp_path)
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)["benchmarks"]["handwriting"]
    assert (table["num_rows"], table["num_all"], table["num_samples"]) == (6, 40, 3)
    assert table["pass@1"] == pytest.approx(table["published"])
    assert table["pass@1"] <= table["pass@2"] <= table["pass@3"]
    assert 0 <= table["majority"] <= 100
    assert [row.sample for row in stored.read_responses(Path(json.loads(done.stdout)["responses"]))] == [0, 1, 2] * 6
    assert table["interval"][0] <= table["published"] <= table["interval"][1]
    within = {row.column_name: (row.low, row.high) for row in stored.read_scores(Path(json.loads(done.stdout)["responses"]))}
    assert within.keys() >= {"pass@2", "majority"}
    assert all(within[name][0] <= table[name] <= within[name][1] for name in ("pass@1", "pass@2", "pass@3", "majority"))
    assert {name: tuple(ends) for name, ends in table["intervals"].items() if ends and name != "column"}.items() <= within.items()


def test_its_key_is_what_compare_takes_and_the_mean_of_eight_stands_beside_no_other(data: Path, tmp_path: Path) -> None:
    asked = ["r1vl-tiny", "--benchmarks", "mmstar,mathvista,chartqa", "--data-dir", data, "--max-new-tokens", "4"]
    done = told(*asked, "--where", "category = 'math'", root=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "AVG" not in done.stdout
    assert "mathvista is left out: --where chooses none of its 20 rows" in done.stderr
    assert "chartqa is left out: --where cannot be asked of it" in done.stdout
    key = re.search(r"^  key: (\w+),", done.stdout, re.MULTILINE)
    assert key is not None
    assert "mmstar" in r1vl("compare", key[1], "r1vl-tiny", root=tmp_path).stdout


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"policy": "r1vl-tiny", "data_dir": "{empty}"}, "no file {empty}/MMStar.tsv"),
        ({"policy": "r1vl-tiny", "data_dir": "{empty}/none"}, "no such folder"),
        ({"policy": "r1vl-tiny", "benchmarks": "mmstar,nothing"}, "no benchmark 'nothing'"),
        ({"policy": "r1vl-tiny", "benchmarks": "mmstar,mmstar"}, "mmstar is given twice"),
        ({"policy": "r1vl-tiny", "where": "nothing = 1"}, "--where 'nothing = 1'"),
        ({"policy": "r1vl-tiny", "where": "false"}, "no row of"),
        (
            {"policy": "r1vl-tiny", "benchmarks": "mmstar,mathvista,chartqa", "where": "category = 'mth'"},
            "MMStar.tsv (20 rows) and no row of {data}/MathVista_MINI.tsv (20 rows); it cannot be asked of chartqa",
        ),
        ({"policy": "r1vl-tiny", "benchmarks": "mmstar,mathvista", "where": "categry = 'math'"}, '"categry" not found'),
        ({"policy": "tinny"}, "tinny: neither a preset nor the folder of a checkpoint; did you mean tiny?"),
        ({"policy": "{empty}/mime"}, "did you mean {empty}/mine?"),
        ({"policy": "r1vl-tiny", "where": "image = 'x'"}, "--where"),
        ({"policy": "r1vl-tiny", "num_samples": 4}, "--temperature"),
        ({"policy": "r1vl-tiny", "prompt": "refine"}, "--prompt refine"),
        ({"policy": "r1vl-tiny", "model": "m"}, "--endpoint"),
        ({"policy": "tiny"}, "no StepGRPO policy of preset tiny"),
        ({"policy": "{empty}"}, "config.json"),
        ({}, "nobody to ask"),
        ({"endpoint": "http://127.0.0.1:9/v1"}, "--model"),
        ({"endpoint": "nowhere", "model": "m"}, '--endpoint: base_url "nowhere" is no address'),
        ({"policy": "r1vl-tiny", "endpoint": "http://127.0.0.1:9/v1", "model": "m"}, "two to ask"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_asked(given: dict[str, Any], told: str, data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").touch()
    filled = {name: value.replace("{empty}", str(tmp_path)) if isinstance(value, str) else value for name, value in given.items()}
    folder = Path(filled.pop("data_dir", data))
    asked = Asked(**{"policy": None, "benchmarks": "mmstar", "data_dir": folder, **filled})
    with pytest.raises(ValueError, match=re.escape(told.replace("{empty}", str(tmp_path)).replace("{data}", str(data)))) as error:
        evaluate(Runtime(root=tmp_path / "root"), asked, "paper", as_json=True)
    assert len(str(error.value).splitlines()) == 1


def test_all_files_that_are_missing_are_named_and_how_to_go_on_without_them(data: Path, tmp_path: Path) -> None:
    (tmp_path / FILES["mme"]).symlink_to(data / FILES["mme"])
    done = told("r1vl-tiny", "--data-dir", tmp_path, root=tmp_path / "root")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    others = [file for name, file in FILES.items() if name not in ("mme", "handwriting")]
    assert f"no files {', '.join(others)} in {tmp_path}; " in done.stderr
    assert done.stderr.endswith("; --benchmarks mme goes on with those that are there\n")


def test_a_mistake_is_one_line_and_status_2(tmp_path: Path) -> None:
    done = told("r1vl-tiny", "--benchmarks", "mmstar", "--data-dir", tmp_path, root=tmp_path / "root")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert f"no file {tmp_path / 'MMStar.tsv'}" in done.stderr


@pytest.mark.parametrize("said", ["[E205 [/io/third_party/pair.cc:553] connection closed", "[red] [/] 100%"])
def test_brackets_in_what_a_process_says_are_shown_as_they_are(said: str) -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100, markup=False, highlight=False)
    with console.status("") as status:
        follow = following(status, console)
        follow(StageEvent("benchmarks", "log", said))
        console.print(status.renderable)
        follow(StageEvent("benchmarks", "log", f"{WARNING}{said}!"))
        for step in (1, 9):
            follow(StageEvent("benchmarks", "report", report=Report(step, 9, {})))
        console.print(status.renderable)
    assert f" {said}\n" in shown.getvalue()
    assert f"{said}!\n" in shown.getvalue()
    assert "answered 9/9" in shown.getvalue()


def test_without_a_terminal_how_far_it_is_stands_on_lines_of_its_own() -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=100, markup=False, highlight=False)
    with console.status("") as status:
        follow = following(status, console)
        for step in (1, 2, 9):
            follow(StageEvent("benchmarks", "report", report=Report(step, 9, {})))
    first, last = shown.getvalue().splitlines()
    assert first == "answered 1/9"
    assert last.startswith("answered 9/9 · ")
