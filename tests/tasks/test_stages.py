"""Stages made of text files: what is reused, what is rebuilt, and whether the plan had said so."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from r1vl_core.config import Preset, Runtime, parse_preset
from r1vl_core.report import Report
from tasks.inputs import Inputs
from tasks.locks import locked
from tasks.planning import PlanRow, plan
from tasks.recipe import Recipe
from tasks.stages import Build, Stage, StageEvent, StageResult, bring_up_to_date, in_order
from tasks.store import Store, StoreError

NAMES = ("curate", "warmup", "stepgrpo", "evaluate")


@dataclass
class Kitchen:
    """Four stages in a row on one store; `evaluate` reads both policies. Remembers what was built."""

    store: Store
    built: list[str] = field(default_factory=list)
    events: list[StageEvent] = field(default_factory=list)
    salt: str = ""
    stages: dict[str, Stage] = field(default_factory=dict)

    def __post_init__(self) -> None:
        reads: dict[str, tuple[str, ...]] = {
            "curate": (),
            "warmup": ("curate",),
            "stepgrpo": ("warmup", "curate"),
            "evaluate": ("warmup", "stepgrpo"),
        }
        for name, inputs in reads.items():
            self.stages[name] = Stage(name, inputs, self.recipe_of(name), self.build)

    def recipe_of(self, name: str) -> Any:
        def recipe(preset: Preset, inputs: Inputs) -> Recipe:
            return Recipe(name, 1, getattr(preset, name).model_dump(mode="json"), dict(inputs))

        return recipe

    def build(self, job: Build) -> Mapping[str, Any]:
        self.built.append(job.recipe.stage)
        read = [(job.inputs[name].path / "model.safetensors").read_text() for name in sorted(job.inputs)]
        alpha = job.recipe.settings.get("alpha") if job.recipe.stage == "stepgrpo" else None
        salt = self.salt if job.recipe.stage == "warmup" else ""
        (job.out / "model.safetensors").write_text(f"{job.recipe.stage} {alpha} {salt} of {read}")
        job.log("half way")
        job.on_report(Report(step=1, num_steps=2, metrics={"loss": 0.5}))
        return {"metrics": {"accuracy": 0.5}, "files": ["model.safetensors"], "checkpoint": "."}

    def run(self, until: str = "evaluate", force: tuple[str, ...] = (), **overrides: Any) -> dict[str, StageResult]:
        self.built.clear()
        self.events.clear()
        arguments = (until, self.stages, preset(**overrides), Runtime(), self.store)
        return bring_up_to_date(*arguments, force=frozenset(force), on_event=self.events.append)

    def plan(self, until: str = "evaluate", force: tuple[str, ...] = (), **overrides: Any) -> list[PlanRow]:
        return plan(until, self.stages, preset(**overrides), self.store, force=frozenset(force))


def preset(**stepgrpo: Any) -> Preset:
    return parse_preset({"name": "small", "world": {}, "stepgrpo": stepgrpo}, "test")


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(Store(tmp_path))


def actions(rows: list[PlanRow]) -> list[str]:
    return [row.action for row in rows]


def test_the_second_time_everything_is_there(kitchen: Kitchen) -> None:
    assert actions(kitchen.plan()) == ["built"] * 4
    assert {row.why for row in kitchen.plan()[:1]} == {"never built"}
    first = kitchen.run()
    assert kitchen.built == list(NAMES)
    assert actions(kitchen.plan()) == ["cached"] * 4
    assert all(re.fullmatch(r"made \d{4}-\d\d-\d\d \d\d:\d\d:\d\d in \d+ s", row.why) for row in kitchen.plan())
    second = kitchen.run()
    assert kitchen.built == []
    assert [(result.state, result.digest) for result in second.values()] == [("cached", result.digest) for result in first.values()]
    assert [event.kind for event in kitchen.events] == ["cached"] * 4


def test_what_a_stage_says_is_heard(kitchen: Kitchen) -> None:
    results = kitchen.run("curate")
    assert [event.kind for event in kitchen.events] == ["building", "log", "report", "built"]
    assert kitchen.events[1].text == "half way"
    assert kitchen.events[2].report == Report(1, 2, {"loss": 0.5})
    assert kitchen.events[3].result == results["curate"]


def test_only_what_is_asked_for_is_built(kitchen: Kitchen) -> None:
    assert list(kitchen.run("warmup")) == kitchen.built == ["curate", "warmup"]


def test_a_changed_setting_rebuilds_what_reads_it_and_what_follows(kitchen: Kitchen) -> None:
    kitchen.run()
    rows = kitchen.plan(alpha=0.2)
    assert actions(rows) == ["cached", "cached", "built", "built unless its inputs come out the same"]
    assert rows[2].why == "settings.alpha: 0.1 -> 0.2"
    assert rows[3].why == "stepgrpo would be built"
    kitchen.run(alpha=0.2)
    assert kitchen.built == ["stepgrpo", "evaluate"]
    kitchen.run()
    assert kitchen.built == []


def test_what_another_preset_built_is_no_reason(kitchen: Kitchen) -> None:
    kitchen.run()
    other = parse_preset({"name": "other", "world": {}, "stepgrpo": {"alpha": 0.2}, "curate": {"min_image_side": 4}}, "test")
    rows = plan("evaluate", kitchen.stages, other, kitchen.store)
    assert {(row.action, row.why) for row in rows} == {("built", "never built")}
    same = parse_preset({"name": "other", "world": {}, "stepgrpo": {"alpha": 0.2}}, "test")
    rows = plan("evaluate", kitchen.stages, same, kitchen.store)
    assert [(row.action, row.why) for row in rows[2:]] == [("built", "never built")] * 2
    assert actions(rows[:2]) == ["cached"] * 2


def test_a_stage_that_somebody_builds_now_is_waited_for(kitchen: Kitchen) -> None:
    kitchen.run("curate")
    recipe = kitchen.run("warmup")["warmup"].artifact.recipe
    with locked(kitchen.store.lock_path(recipe.key)):
        rows = kitchen.plan()
        assert kitchen.plan() == rows  # asking is no building
    assert actions(rows) == ["cached", "waited for", "built", "built"]
    assert re.fullmatch(rf"process {os.getpid()}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d, is building it", rows[1].why)
    assert actions(kitchen.plan())[:2] == ["cached", "cached"]


def test_a_setting_that_changes_nothing_stops_at_once(kitchen: Kitchen) -> None:
    kitchen.run()
    kitchen.run(save_every=7)
    assert kitchen.built == ["stepgrpo"]


@pytest.mark.parametrize(("salt", "built"), [("", ["warmup"]), ("other", ["warmup", "stepgrpo", "evaluate"])])
def test_force_rebuilds_a_stage_and_what_its_content_changes(kitchen: Kitchen, salt: str, built: list[str]) -> None:
    kitchen.run()
    kitchen.salt = salt
    rows = kitchen.plan(force=("warmup",))
    assert actions(rows) == ["cached", "built", *["built unless its inputs come out the same"] * 2]
    assert rows[1].why == "asked for by force"
    kitchen.run(force=("warmup",))
    assert kitchen.built == built


def test_a_lost_artifact_is_built_again_and_nothing_else(kitchen: Kitchen) -> None:
    lost = kitchen.run()["warmup"].artifact
    (lost.path / "model.safetensors").unlink()
    assert actions(kitchen.plan()) == ["cached", "built", *["built unless its inputs come out the same"] * 2]
    assert "model.safetensors: missing" in kitchen.plan()[1].why
    kitchen.run()
    assert kitchen.built == ["warmup"]


def test_damaged_weights_are_never_built_upon(kitchen: Kitchen) -> None:
    damaged = kitchen.run()["warmup"].artifact
    weights = (damaged.path / "model.safetensors").read_text()
    (damaged.path / "model.safetensors").write_text(weights.upper())
    with pytest.raises(StoreError, match="run again to build it anew"):
        kitchen.run(alpha=0.2)
    kitchen.run(alpha=0.2)
    assert kitchen.built == ["warmup", "stepgrpo", "evaluate"]


def test_a_stage_the_preset_does_not_want_is_left_out(kitchen: Kitchen) -> None:
    kitchen.stages["curate"] = Stage("curate", (), kitchen.recipe_of("curate"), kitchen.build, wanted=lambda preset: False)
    kitchen.run()
    assert kitchen.built == ["warmup", "stepgrpo", "evaluate"]


def test_a_stage_nobody_knows_is_named(kitchen: Kitchen) -> None:
    with pytest.raises(ValueError, match=r"stage 'rl': no such stage; there are curate, warmup"):
        in_order(kitchen.stages, "rl", preset())
