"""The r1vl command: quick help, one line and status 2 for the user's mistakes."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import Image

from flows.leases import leased
from flows.newer import failure_noted
from flows.results import RunResult, save_result
from r1vl_core.policy.bundled import bundled_checkpoint
from tasks.owner import this_process
from tasks.recipe import Recipe
from tasks.store import Store
from tests.flows.command import r1vl


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "board.png"
    Image.new("RGB", (84, 84), "white").save(path)
    return path


def test_a_plan_needs_no_heavy_libraries(tmp_path: Path) -> None:
    code = (
        "import sys; from flows.__main__ import app\n"
        "try: app(['plan', 'tiny'])\n"
        "except SystemExit: print(sorted({'torch', 'mlflow', 'transformers'} & set(sys.modules)))"
    )
    env = {**os.environ, "R1VL_ROOT": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert "never built" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_names_every_command_without_loading_the_heavy_libraries(tmp_path: Path) -> None:
    code = "import sys; import flows.__main__ as command; print(sorted({'torch', 'prefect', 'mlflow', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
    text = r1vl("--help", root=tmp_path).stdout
    commands = "run submit watch cancel plan up down env results ask reward audit-rewards sql unpack world tiny-base doctor"
    for command in commands.split():
        assert f"\n  {command} " in text


def test_the_version_is_the_package_s(tmp_path: Path) -> None:
    assert r1vl("--version", root=tmp_path).stdout == f"r1vl {version('r1vl')}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "huge"], "r1vl: no preset named 'huge'; there are "),
        (["run", "r1vl-2b", "--set", "stepgrpo.alfa=1"], "--set stepgrpo.alfa=1: no such setting; did you mean stepgrpo.alpha?"),
        (["submit", "--set", "stepgrpo.alfa=1"], "--set stepgrpo.alfa=1: no such setting; did you mean stepgrpo.alpha?"),
        (["plan", "--set", "seed=1", "--seed", "2"], "--set seed=1: the seed 2 is given as well"),
        (["plan", "--seed", "x"], "'--seed': must be a valid integer; see `r1vl plan --help`"),
        (["plan", "tiny", "--until", "nope"], "'--until': 'nope' is not one of 'curate', 'key_steps', "),
        (["plan", "tiny", "--untl", "nope"], "No such option: --untl"),
        (["run", "r1vl-2b", "--set", "alpha"], "write it as key=value"),
        (["plan", "./none.toml"], "none.toml: no such file"),
        (["submit", "--preset", "./none.toml"], "none.toml: no such file"),
        (["results", "--run", "xyz"], "run the pipeline first"),
        (["doctor", "--look"], "there is nothing at "),
        (["ask", "--image", ".", "how many?"], "picture .: a folder; name one picture in it"),
        (["world", "--out", f"{__file__}/world"], f"world folder {__file__}/world: cannot be made: "),
        (["world"], "Missing option '--out'"),
        (["tiny-base", "--out", __file__], f"'{__file__}' is a file; see `r1vl tiny-base --help`"),
        (["key-steps"], "Missing command; see `r1vl key-steps --help`"),
        (["reward", "--questions", "-", "--responses", "-"], "there is one standard input"),
        (["audit-rewards", "--questions", "-", "--responses", "-"], "there is one standard input"),
        (["watch"], "start it with `r1vl up`"),
        (["cancel"], "start it with `r1vl up`"),
        (["env"], "start them with `r1vl up`"),
        (["results", "--json"], "run the pipeline first"),
        (["ask", "--image", "none.png", "how many?"], "none.png"),
        (["up", "--prefect-port", "70000"], "65535"),
        (["up", "--prefect-port", "4999", "--mlflow-port", "4999"], "port 4999 is given to both servers"),
        (["ask", "--image", "/dev/zero", "how many?"], "picture /dev/zero: a device or a pipe"),
        (["sql", "--artifact", "stepgpro"], "no stage named 'stepgpro'; there are world, curate,"),
        (["sql"], "no questions under"),
        (["sql", "--run", "last"], "run the pipeline first"),
        (["sql", "--json", "--csv"], "give one of them"),
        (["fly"], "No such command 'fly'; see `r1vl --help`"),
        (["dcotor"], "Did you mean 'doctor'? see `r1vl --help`"),
    ],
)
def test_a_mistake_is_said_in_one_line_with_status_2(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = r1vl(*arguments, root=tmp_path / "root")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("r1vl: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("group", [[], ["key-steps"]])
def test_help_is_in_a_reader_s_words(group: list[str], tmp_path: Path) -> None:
    """Options say what they take, usage lines are as in a manual, and what stands in a list of commands is whole."""
    listing = r1vl(*group, "--help", root=tmp_path, COLUMNS="80").stdout
    assert "..." not in listing.replace("[ARGS]...", "")
    names = re.findall(r"^  ([a-z-]+)  ", listing.partition("Commands:")[2], flags=re.MULTILINE)
    assert len(names) > 4
    for name in names:
        text = r1vl(*group, name, "--help", root=tmp_path).stdout
        assert re.findall(r"--\S+ <.*?>|{[A-Z]+}|\[\[", text) == []


def test_a_disk_that_gives_out_is_told_with_the_folder_that_was_given(tmp_path: Path) -> None:
    out = tmp_path / "world"
    command = [sys.executable, "-m", "flows", "world", "--out", str(out), "--questions", "4", "--heldout", "4"]
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (2_000, 2_000))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, preexec_fn=limit)
    assert done.returncode == 1
    assert done.stderr.startswith(f"r1vl: world folder {out}: cannot be written: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prompt", "nope", "--model", "r1vl-tiny"], "--prompt nope: no prompt template has this name; there are plain, reasoning"),
        (["--model", "owner/mistyped"], "--model owner/mistyped: no such folder; give the folder of a checkpoint"),
        (["--model", "."], "--model .: no checkpoint, for it holds no config.json"),
    ],
)
def test_what_ask_cannot_do_is_told_before_anything_is_loaded(arguments: list[str], message: str, picture: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from flows.__main__ import main\n"
        "try: main()\n"
        "finally: print(sorted({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "ask", "--image", str(picture), "how many?", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "[]\n")
    assert done.stderr.startswith(f"r1vl: {message}")
    assert done.stderr.count("\n") == 1


def test_ask_prints_an_answer_and_nothing_of_its_libraries(picture: Path, tmp_path: Path) -> None:
    asked = ("ask", "--image", str(picture), "--model", "r1vl-tiny", "--prompt", "plain", "Read the board.")
    done = r1vl(*asked, root=tmp_path, HF_HUB_OFFLINE="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "policy: " in done.stdout


def test_a_policy_of_the_store_is_asked_as_it_was_trained(picture: Path, tmp_path: Path) -> None:
    def build(folder: Path) -> dict[str, str]:
        shutil.copytree(bundled_checkpoint("r1vl-tiny"), folder / "policy")
        return {"checkpoint": "policy"}

    made = Store(tmp_path).put(Recipe("stepgrpo", 1, {"max_pixels": 200704, "max_new_tokens": 8}, prompts={"plain": "a digest"}), build)
    named, last = (
        r1vl("ask", "--image", str(picture), *which, "Read.", root=tmp_path) for which in (("--model", f"{made.path}/policy"), ())
    )
    assert (named.returncode, named.stdout) == (0, last.stdout)
    assert "cut off after 8 tokens" in named.stdout


def test_the_doctor_says_by_its_status_whether_anything_is_left_wrong(tmp_path: Path) -> None:
    (tmp_path / "objects" / "curate" / ".building-0").mkdir(parents=True)
    look = r1vl("doctor", "--look", root=tmp_path)
    assert look.returncode == 1
    assert "leftover build: " in look.stdout
    assert look.stdout.endswith("1 found; `r1vl doctor` without --look mends\n")  # that the servers are down is no finding
    mended = r1vl("doctor", root=tmp_path)
    assert (mended.returncode, mended.stdout.splitlines()[-1]) == (0, "1 found and mended")
    well = r1vl("doctor", "--look", root=tmp_path)
    assert (well.returncode, well.stdout.splitlines()[-1]) == (0, "nothing else is wrong")


@pytest.mark.parametrize(("preset", "stages"), [("r1vl-2b", "warmup: "), ("r1vl-7b", "stepgrpo: "), ("tiny", "warmup: ")])
def test_memory_is_planned_offline_and_said_where_the_shapes_are_from(preset: str, stages: str, tmp_path: Path) -> None:
    done = r1vl("plan", preset, "--memory", root=tmp_path, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hub"))
    assert done.returncode == 0, done.stderr
    assert stages in done.stdout
    assert ("is not at hand: shapes kept in" in " ".join(done.stdout.split())) == (preset != "tiny")
    assert not list(tmp_path.rglob("*.safetensors"))
    amounts = re.findall(r"│ +([\d.]+) ", done.stdout)
    assert len(amounts) > 15
    assert all(re.fullmatch(r"\d+\.\d", amount) for amount in amounts)


def test_what_takes_memory_off_is_counted_and_named(tmp_path: Path) -> None:
    def told(*more: str, **dials: str) -> str:
        return " ".join(r1vl("plan", "r1vl-2b", "--memory", *more, root=tmp_path, HF_HUB_OFFLINE="1", **dials).stdout.split())

    def peak(text: str) -> float:
        return float(text.split("stepgrpo: ")[1].split()[0])

    dials = {"R1VL_GRADIENT_CHECKPOINTING": "1", "R1VL_ACCELERATE_CONFIG": "infra/accelerate/fsdp2.yaml"}
    plain, saving = told(), told("--set", 'stepgrpo.lora={"rank": 8}', **dials)
    assert "With all weights trained, activations kept." in plain
    assert "With adapters of rank 8 in StepGRPO and gradient checkpointing and shards on 4 devices counted." in saving
    assert peak(saving) < peak(plain) / 4


def test_memory_of_a_model_nobody_knows_is_not_guessed(tmp_path: Path) -> None:
    other = ("plan", "r1vl-2b", "--memory", "--set", "model=r1vl-tests/unknown")
    done = r1vl(*other, root=tmp_path, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hub"))
    assert done.returncode == 2
    assert "its shapes are known for Qwen/Qwen2-VL-2B-Instruct" in done.stderr


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    done = r1vl("down", root=tmp_path, R1VL_NUM_PROCESSES="many")
    assert done.returncode == 2
    assert "R1VL_NUM_PROCESSES" in done.stderr


@pytest.mark.parametrize("command", ["up", "plan", "doctor", "results"])
@pytest.mark.parametrize("below", ["", "root"])
def test_a_root_that_is_no_folder_is_named(command: str, below: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = r1vl(command, root=tmp_path / "file" / below)
    assert done.returncode == 2
    assert done.stderr.endswith(f"{tmp_path / 'file'} is a file, not a folder; give another with --root or R1VL_ROOT\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command", ["plan", "plan --memory", "results", "sql", "watch", "cancel", "env", "down", "doctor", "key-steps stats", "audit-rewards"]
)
def test_who_only_looks_leaves_nothing_behind(command: str, tmp_path: Path) -> None:
    done = r1vl(*command.split(), root=tmp_path / "root", HF_HUB_OFFLINE="1")
    assert done.returncode in (0, 2), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_results_say_what_came_after_them(tmp_path: Path) -> None:
    save_result(tmp_path, RunResult("one", "tiny", 0, "COMPLETED", {}), is_last=True)
    assert r1vl("results", root=tmp_path).stderr == ""
    later = tmp_path / "runs" / "last.json"
    os.utime(later, (1, 1))
    with pytest.raises(OSError, match="torn"), failure_noted(tmp_path, "tiny seed 0 (two)"):
        raise OSError("a cable is torn; its last lines:\nTraceback")
    with leased(tmp_path, "three"):
        done = r1vl("results", "--json", root=tmp_path)
    assert done.stderr.splitlines() == [
        "r1vl: a newer run has no result: tiny seed 0 (two) failed: a cable is torn",
        "r1vl: a newer run is under way: `r1vl watch three`",
    ]
    assert json.loads(done.stdout)["run_id"] == "one"
    assert r1vl("results", "--run", "one", root=tmp_path).stderr == ""
    (tmp_path / "runs" / "leases" / "four").write_text(f"{this_process()}0")
    assert "r1vl: a newer run (four) was killed; `r1vl doctor` closes it\n" in r1vl("results", root=tmp_path).stderr


def test_results_of_a_first_run_under_way_ask_for_no_other(tmp_path: Path) -> None:
    with leased(tmp_path, "one"):
        done = r1vl("results", root=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"r1vl: no result of the whole pipeline under {tmp_path} yet; a run is under way: `r1vl watch one`"]


def test_down_without_servers_is_no_error(tmp_path: Path) -> None:
    assert r1vl("down", root=tmp_path).stdout == "nothing was running\n"
