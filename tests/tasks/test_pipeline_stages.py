"""The real stages end to end on a small world: built, reused, rebuilt only where a setting is read, and exact after kill -9."""

import json
import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest
from safetensors.torch import load_file, save_file

from flows.auditing import audit_rewards
from flows.querying import print_answer
from flows.results import RunResult, StageOutcome, save_result
from r1vl_core.config import Preset, parse_preset
from r1vl_core.data.sql import querying
from r1vl_core.policy.bundled import bundled_checkpoint
from r1vl_core.policy.model import load_policy
from tasks.launch import StageKilled
from tasks.planning import plan
from tasks.registry import STAGES
from tasks.report import PAGE
from tasks.reports import read_reports
from tasks.stages import StageEvent, StageResult, bring_up_to_date
from tasks.store import Store
from tests.tasks.small_pipeline import RUNTIME, SMALL, copied, shared_store

pytestmark = pytest.mark.timeout(600)  # whole pipelines, slow where other work keeps the processors busy


def small_preset(**stepgrpo: float) -> Preset:
    return parse_preset({**SMALL, "stepgrpo": {**SMALL["stepgrpo"], **stepgrpo}}, "test")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return shared_store(tmp_path_factory)


@pytest.fixture(scope="module")
def built(store: Store) -> dict[str, StageResult]:
    return bring_up_to_date("report", STAGES, small_preset(), RUNTIME, store)


def test_every_stage_is_built_once_and_then_reused(store: Store, built: dict[str, StageResult]) -> None:
    assert built["report"].state == "built"
    again = bring_up_to_date("report", STAGES, small_preset(), RUNTIME, store)
    assert {result.state for result in again.values()} == {"cached"}
    assert {name: result.digest for name, result in again.items()} == {name: result.digest for name, result in built.items()}


def test_the_page_holds_the_run(built: dict[str, StageResult]) -> None:
    page = (built["report"].artifact.path / PAGE).read_text()
    assert "contaminated" in page
    assert "StepGRPO" in page
    summary = json.loads((built["evaluate"].artifact.path / "summary.json").read_text())
    assert summary["warmup"]["num_questions"] == summary["stepgrpo"]["num_questions"] == 12


def test_rollouts_stand_once_in_the_artifact_and_answer_sql(built: dict[str, StageResult]) -> None:
    folder = built["stepgrpo"].artifact.path
    assert all(report.samples == () for report in read_reports(folder))
    assert "samples" not in (folder / "reports.jsonl").read_text()
    means = "SELECT step, avg(paid), avg(k), sum(num_tokens), count(DISTINCT place) FROM rollouts GROUP BY step ORDER BY step"
    with querying(folder, means) as answer:
        rows = list(answer.rows)
    for report, (step, reward, k, tokens, places) in zip(read_reports(folder), rows, strict=True):
        assert (report.step, report.metrics["tokens"], 4) == (step, tokens, places)
        assert (report.metrics["reward"], report.metrics["k"]) == (pytest.approx(reward), pytest.approx(k))
    with querying(folder, "SELECT count(*) FROM rollouts, unnest(marks) AS t(m) WHERE m.\"end\" > len(text) OR m.form = ''") as answer:
        assert list(answer.rows) == [(0,)]


def test_what_a_run_left_is_audited_and_asked(store: Store, built: dict[str, StageResult], capsys: pytest.CaptureFixture[str]) -> None:
    stages = {name: StageOutcome(result.state, result.seconds, result.key, result.digest) for name, result in built.items()}
    save_result(store.root, RunResult("one", "small", 0, "COMPLETED", stages), is_last=True)
    audit_rewards(store.root, None, None, ["none"], alpha=0.1, limit=4, page=None, as_json=True)
    num_paths = json.loads(capsys.readouterr().out)["sampled"]["none"]["num_paths"]
    for run in (None, "one"):
        print_answer(store.root, "stepgrpo", run, "SELECT count(*) AS num_paths FROM rollouts", "json")
        assert json.loads(capsys.readouterr().out) == {"num_paths": num_paths}
    for stage, table in (("curate", "questions"), ("key_steps", "key_steps"), ("warmup", "reports"), ("evaluate", "warmup")):
        print_answer(store.root, stage, None, None, "csv")
        assert f"\n{table}," in capsys.readouterr().out
    with pytest.raises(ValueError, match="this stage keeps no tables"):
        print_answer(store.root, "report", None, None, "table")


def test_a_plan_names_what_a_setting_rebuilds_and_why(store: Store, built: dict[str, StageResult]) -> None:
    rows = {row.stage: row for row in plan("report", STAGES, small_preset(alpha=0.2), store)}
    assert [name for name, row in rows.items() if row.action != "cached"] == ["stepgrpo", "evaluate", "report"]
    assert rows["stepgrpo"].why == "settings.alpha: 0.1 -> 0.2"


def test_training_changes_the_policy(built: dict[str, StageResult]) -> None:
    weights = {name: (built[name].artifact.path / "policy" / "model.safetensors").read_bytes() for name in ("warmup", "stepgrpo")}
    assert weights["warmup"] != weights["stepgrpo"]


def kill_trainers() -> None:
    for process in psutil.Process().children(recursive=True):
        try:
            if "tasks.trainer" in process.cmdline():
                os.kill(process.pid, signal.SIGKILL)
        except (psutil.NoSuchProcess, psutil.ZombieProcess, ProcessLookupError):
            continue  # ended meanwhile


@pytest.mark.parametrize(("stage", "step"), [("warmup", 15), ("stepgrpo", 2)])
def test_a_killed_trainer_resumes_to_the_same_bytes(
    tmp_path: Path, store: Store, built: dict[str, StageResult], stage: str, step: int
) -> None:
    """kill -9 of the trainer after `step`; the rerun's weights and rollouts equal those of the run nobody disturbed."""
    other = copied(store, tmp_path / "root")
    shutil.rmtree(other.root / "objects" / stage)
    steps: list[int] = []

    def kill(event: StageEvent) -> None:
        if event.report is not None and event.stage == stage:
            steps.append(event.report.step)
            if event.report.step == step:
                kill_trainers()

    with pytest.raises(StageKilled, match=r"^[a-z]*: the training process was killed by signal 9"):
        bring_up_to_date(stage, STAGES, small_preset(), RUNTIME, other, on_event=kill)
    assert other.latest(stage) is None
    first_life, step = list(steps), 0
    result = bring_up_to_date(stage, STAGES, small_preset(), RUNTIME, other, on_event=kill)[stage]
    assert first_life
    assert steps[len(first_life)] > 1, "the second life began from nothing"
    assert result.digest == built[stage].digest
    parts = [path.relative_to(result.artifact.path) for path in result.artifact.path.glob("rollouts/*")]
    assert bool(parts) == (stage == "stepgrpo")
    for name in (Path("policy/model.safetensors"), *parts):
        assert (result.artifact.path / name).read_bytes() == (built[stage].artifact.path / name).read_bytes()


def test_a_checkpoint_that_sees_nothing_is_a_users_error(tmp_path: Path) -> None:
    text_only = tmp_path / "model"
    text_only.mkdir()
    (text_only / "config.json").write_text(json.dumps({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}))
    preset = parse_preset({**SMALL, "model": str(text_only)}, "test")
    with pytest.raises(ValueError, match="not a vision-language model"):
        bring_up_to_date("curate", STAGES, preset, RUNTIME, Store(tmp_path / "root"))


def copied_checkpoint(folder: Path) -> Path:
    return Path(shutil.copytree(bundled_checkpoint("r1vl-tiny"), folder))


def test_pickled_weights_are_refused_at_once(tmp_path: Path) -> None:
    folder = copied_checkpoint(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="no safetensors file"):
        bring_up_to_date("curate", STAGES, parse_preset({**SMALL, "model": str(folder)}, "test"), RUNTIME, Store(tmp_path / "root"))


def test_a_users_error_found_in_the_child_comes_back_as_one(tmp_path: Path) -> None:
    """The checkpoint lacks a tensor, which only the process that loads its weights can see; the launcher hides exit statuses."""
    folder = copied_checkpoint(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor for name, tensor in weights.items() if "layers.0.mlp.up_proj" not in name}, folder / "model.safetensors")
    preset = parse_preset({**SMALL, "model": str(folder)}, "test")
    with pytest.raises(ValueError, match="its files lack 1 of the model's tensors"):
        bring_up_to_date("warmup", STAGES, preset, RUNTIME, Store(tmp_path / "root"))


@pytest.mark.parametrize("content", [b"", b"no tensors at all", b"\xff" * 64])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    folder = copied_checkpoint(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="cut off or damaged"):
        load_policy(folder, prompt="plain", max_pixels=200704)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ("[]", "none of 0 records became a question; .*records.json: no records in it"),
        ("[{}]", r"row 1 of own \(.*records.json\), is rejected as unreadable_record: "),
    ],
)
def test_sources_without_a_question_are_named_with_the_first_reason(
    tmp_path: Path, built: dict[str, StageResult], records: str, message: str
) -> None:
    (tmp_path / "records.json").write_text(records)
    sources = [{"name": "own", "path": str(tmp_path / "records.json"), "images": str(tmp_path)}]
    own = {**SMALL, "sources": sources, "evaluate": {"data": str(built["world"].artifact.path / "heldout.tsv")}}
    del own["world"]
    with pytest.raises(ValueError, match=message):
        bring_up_to_date("curate", STAGES, parse_preset(own, "test"), RUNTIME, Store(tmp_path / "root"))
