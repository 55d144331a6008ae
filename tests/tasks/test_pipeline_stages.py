"""The real stages end to end on a small world: built, reused, rebuilt only where a setting is read, and exact after kill -9."""

import json
import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from r1vl_core.config import Preset, Runtime, parse_preset
from tasks.launch import StageFailed
from tasks.planning import plan
from tasks.registry import STAGES
from tasks.report import PAGE
from tasks.stages import StageEvent, StageResult, bring_up_to_date
from tasks.store import Store

SMALL = {
    "name": "small",
    "prompt": "plain",
    "max_pixels": 200704,
    "world": {"num_questions": 48, "num_heldout": 12, "seed": 5},
    "warmup": {"num_epochs": 6.0, "batch_size": 12, "learning_rate": 2e-3, "save_every": 4},
    "stepgrpo": {"num_steps": 4, "questions_per_step": 4, "group_size": 4, "max_new_tokens": 100, "learning_rate": 1e-4, "save_every": 1},
    "evaluate": {"max_new_tokens": 100},
    "report": {"num_groups": 4, "num_responses": 6},
}
RUNTIME = Runtime(num_workers=1, device="cpu")


def small_preset(**stepgrpo: float) -> Preset:
    return parse_preset({**SMALL, "stepgrpo": {**SMALL["stepgrpo"], **stepgrpo}}, "test")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def built(store: Store) -> dict[str, StageResult]:
    return bring_up_to_date("report", STAGES, small_preset(), RUNTIME, store)


def test_every_stage_is_built_once_and_then_reused(store: Store, built: dict[str, StageResult]) -> None:
    assert {result.state for result in built.values()} == {"built"}
    again = bring_up_to_date("report", STAGES, small_preset(), RUNTIME, store)
    assert {result.state for result in again.values()} == {"cached"}
    assert {name: result.digest for name, result in again.items()} == {name: result.digest for name, result in built.items()}


def test_the_page_holds_the_run(built: dict[str, StageResult]) -> None:
    page = (built["report"].artifact.path / PAGE).read_text()
    assert "contaminated" in page
    assert "StepGRPO" in page
    summary = json.loads((built["evaluate"].artifact.path / "summary.json").read_text())
    assert summary["warmup"]["num_questions"] == summary["stepgrpo"]["num_questions"] == 12


def test_a_plan_names_what_a_setting_rebuilds_and_why(store: Store, built: dict[str, StageResult]) -> None:
    rows = {row.stage: row for row in plan("report", STAGES, small_preset(alpha=0.2), store)}
    assert [name for name, row in rows.items() if row.action != "cached"] == ["stepgrpo", "evaluate", "report"]
    assert rows["stepgrpo"].why == "settings.alpha: 0.1 -> 0.2"


def test_training_changes_the_policy(built: dict[str, StageResult]) -> None:
    weights = {name: (built[name].artifact.path / "policy" / "model.safetensors").read_bytes() for name in ("warmup", "stepgrpo")}
    assert weights["warmup"] != weights["stepgrpo"]


@pytest.mark.parametrize(("stage", "step"), [("warmup", 7), ("stepgrpo", 2)])
def test_a_killed_trainer_resumes_to_the_same_bytes(
    tmp_path: Path, store: Store, built: dict[str, StageResult], stage: str, step: int
) -> None:
    """kill -9 of the trainer after `step`; the rerun's weights and rollouts equal those of the run nobody disturbed."""
    shutil.copytree(store.root, tmp_path / "root")
    shutil.rmtree(tmp_path / "root" / "objects" / stage)
    other = Store(tmp_path / "root")
    steps: list[int] = []

    def kill(event: StageEvent) -> None:
        if event.report is not None and event.stage == stage:
            steps.append(event.report.step)
            if event.report.step == step:
                for process in psutil.Process().children(recursive=True):
                    if "tasks.trainer" in process.cmdline():
                        os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(StageFailed):
        bring_up_to_date(stage, STAGES, small_preset(), RUNTIME, other, on_event=kill)
    assert other.latest(stage) is None
    first_life, step = list(steps), 0
    result = bring_up_to_date(stage, STAGES, small_preset(), RUNTIME, other, on_event=kill)[stage]
    assert first_life
    assert steps[len(first_life)] > 1, "the second life began from nothing"
    assert result.digest == built[stage].digest
    name = "policy/model.safetensors"
    assert (result.artifact.path / name).read_bytes() == (built[stage].artifact.path / name).read_bytes()


def test_a_checkpoint_that_sees_nothing_is_a_users_error(tmp_path: Path) -> None:
    text_only = tmp_path / "model"
    text_only.mkdir()
    (text_only / "config.json").write_text(json.dumps({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}))
    preset = parse_preset({**SMALL, "model": str(text_only)}, "test")
    with pytest.raises(ValueError, match="not a vision-language model"):
        bring_up_to_date("curate", STAGES, preset, RUNTIME, Store(tmp_path / "root"))
