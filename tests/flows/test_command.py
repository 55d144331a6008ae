"""The r1vl command: quick help, one line and status 2 for the user's mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest


def r1vl(*arguments: str, root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "R1VL_ROOT": str(root), "COLUMNS": "100", **environment}
    return subprocess.run([sys.executable, "-m", "flows", *arguments], env=env, capture_output=True, text=True, timeout=60, check=False)


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
    commands = "run submit watch cancel plan up down env results ask reward audit-rewards sql world tiny-base doctor"
    for command in commands.split():
        assert f"\n  {command} " in text


def test_the_version_is_the_package_s(tmp_path: Path) -> None:
    assert r1vl("--version", root=tmp_path).stdout == f"r1vl {version('r1vl')}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "huge"], "r1vl: no preset named 'huge'; there are "),
        (["run", "r1vl-2b", "--set", "stepgrpo.alfa=1"], "stepgrpo.alfa: no such setting"),
        (["run", "r1vl-2b", "--set", "alpha"], "write it as key=value"),
        (["plan", "./none.toml"], "none.toml: no such file"),
        (["submit", "--preset", "./none.toml"], "none.toml: no such file"),
        (["watch"], "start them with `r1vl up`"),
        (["cancel"], "start them with `r1vl up`"),
        (["env"], "start them with `r1vl up`"),
        (["results", "--json"], "run the pipeline first"),
        (["ask", "--image", "none.png", "how many?"], "none.png"),
        (["up", "--prefect-port", "70000"], "65535"),
        (["sql", "--artifact", "stepgpro"], "no stage named 'stepgpro'; there are world, curate,"),
        (["sql"], "nothing built of stage stepgrpo under"),
        (["sql", "--run", "last"], "run the pipeline first"),
        (["sql", "--json", "--csv"], "give one of them"),
        (["fly"], "fly"),
    ],
)
def test_a_mistake_is_said_in_one_line_with_status_2(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = r1vl(*arguments, root=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("preset", "stages"), [("r1vl-2b", "warmup: "), ("r1vl-7b", "stepgrpo: "), ("tiny", "warmup: ")])
def test_memory_is_planned_offline_and_said_where_the_shapes_are_from(preset: str, stages: str, tmp_path: Path) -> None:
    done = r1vl("plan", preset, "--memory", root=tmp_path, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hub"))
    assert done.returncode == 0, done.stderr
    assert stages in done.stdout
    assert ("is not at hand: shapes kept in" in " ".join(done.stdout.split())) == (preset != "tiny")
    assert not list(tmp_path.rglob("*.safetensors"))


def test_what_a_memory_plan_does_not_count_is_named(tmp_path: Path) -> None:
    adapters, sharded = ("--set", 'stepgrpo.lora={"rank": 8}'), "infra/accelerate/fsdp2.yaml"
    dials = {"R1VL_GRADIENT_CHECKPOINTING": "1", "R1VL_ACCELERATE_CONFIG": sharded}
    told = " ".join(r1vl("plan", "r1vl-2b", "--memory", *adapters, root=tmp_path, HF_HUB_OFFLINE="1", **dials).stdout.split())
    assert "It takes less than this: LoRA and gradient checkpointing and sharding, which you set" in told


def test_memory_of_a_model_nobody_knows_is_not_guessed(tmp_path: Path) -> None:
    other = ("plan", "r1vl-2b", "--memory", "--set", "model=r1vl-tests/unknown")
    done = r1vl(*other, root=tmp_path, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hub"))
    assert done.returncode == 2
    assert "its shapes are known for Qwen/Qwen2-VL-2B-Instruct" in done.stderr


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    done = r1vl("down", root=tmp_path, R1VL_NUM_PROCESSES="many")
    assert done.returncode == 2
    assert "R1VL_NUM_PROCESSES" in done.stderr


def test_a_root_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = r1vl("up", root=tmp_path / "file")
    assert done.returncode == 2
    assert "is a file, not a folder; give another with --root" in done.stderr


def test_down_without_servers_is_no_error(tmp_path: Path) -> None:
    assert r1vl("down", root=tmp_path).stdout == "nothing was running\n"
