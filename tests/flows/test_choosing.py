"""Presets are found by name or file; what is wrong with a choice is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.choosing import choose, from_here, parse_settings, preset_names
from r1vl_core.config import World

PAPER = {  # arXiv 2503.12937, section 4.1, and the released scripts
    "r1vl-2b": {"batch": 128, "warmup_rate": 1e-5, "decay": 0.05, "questions": 4},
    "r1vl-7b": {"batch": 128, "warmup_rate": 5e-6, "decay": 0.0, "questions": 16},
}


@pytest.mark.parametrize("name", sorted(PAPER))
def test_the_papers_presets_hold_its_constants(name: str) -> None:
    preset, paper = choose(name), PAPER[name]
    assert (preset.warmup.batch_size, preset.warmup.learning_rate, preset.warmup.weight_decay) == (
        paper["batch"],
        paper["warmup_rate"],
        paper["decay"],
    )
    assert (preset.warmup.num_epochs, preset.warmup.warmup_ratio, preset.max_pixels) == (2.0, 0.03, 400_000)
    grpo = preset.stepgrpo
    assert (grpo.questions_per_step, grpo.group_size, grpo.temperature, grpo.learning_rate) == (paper["questions"], 4, 1.2, 1e-6)
    assert (grpo.beta, grpo.alpha, grpo.max_new_tokens, grpo.max_grad_norm, grpo.weight_decay) == (0.04, 0.1, 1024, 1.0, 0.0)
    assert grpo.num_steps * grpo.questions_per_step == 10_000


@pytest.mark.parametrize("name", preset_names())
def test_every_bundled_preset_is_valid_and_says_what_it_is(name: str) -> None:
    preset = choose(name)
    assert preset.name == name
    assert preset.description.strip()


def test_the_tiny_preset_has_the_world_as_it_comes() -> None:
    assert choose("tiny").world == World()


def test_overrides_and_seed_lie_over_the_preset() -> None:
    preset = choose("r1vl-2b", {"stepgrpo.alpha": 0.2}, seed=7)
    assert (preset.stepgrpo.alpha, preset.seed) == (0.2, 7)


def test_a_preset_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[world]\nnum_questions = 10\n")
    assert choose(str(path)).name == "mine"


MINE = """
model = "base"
sources = [{name = "a", path = "data/a.json", images = "/pictures"}]
evaluate.data = "data/b.tsv"
"""


def test_paths_in_a_preset_file_start_at_the_file(tmp_path: Path) -> None:
    (tmp_path / "presets" / "base").mkdir(parents=True)
    path = tmp_path / "presets" / "mine.toml"
    path.write_text(MINE)
    folder = tmp_path / "presets"
    preset = choose(str(path))
    assert (preset.sources[0].path, preset.sources[0].images) == (folder / "data/a.json", Path("/pictures"))
    assert (preset.evaluate.data, preset.model) == (folder / "data/b.tsv", str(folder / "base"))
    (folder / "base").rmdir()
    assert choose(str(path)).model == "base"  # then it is a name of the hub's


def test_overrides_that_leave_this_folder_name_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoint").mkdir()
    given = {"evaluate.data": "b.tsv", "model": "checkpoint", "stepgrpo.alpha": 0.2}
    assert from_here(given) == {"evaluate.data": str(tmp_path / "b.tsv"), "model": str(tmp_path / "checkpoint"), "stepgrpo.alpha": 0.2}
    assert from_here({"model": "owner/name"}) == {"model": "owner/name"}


@pytest.mark.parametrize(
    ("preset", "overrides", "message"),
    [
        ("huge", {}, "no preset named 'huge'; there are .*r1vl-2b"),
        ("tinny", {}, "did you mean tiny?"),
        ("./none.toml", {}, "none.toml: no such file"),
        ("r1vl-2b", {"stepgrpo.alfa": 1}, r"^override stepgrpo\.alfa=1: no such setting"),
        ("r1vl-2b", {"stepgrpo.group_size": 1}, r"^override stepgrpo\.group_size=1: .*greater than or equal to 2"),
    ],
)
def test_a_wrong_choice_is_named(preset: str, overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose(preset, overrides)


@pytest.mark.parametrize(
    ("settings", "message"), [(["alpha"], "write it as key=value"), (["a=1", "a=2"], "given twice"), (["=3"], "key=value")]
)
def test_a_wrong_setting_is_named(settings: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_settings(settings)
