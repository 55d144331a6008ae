"""A wrong setting is told where it was made, in plain words, with the setting that was probably meant."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from r1vl_core.config import load_preset, parse_preset
from r1vl_core.config.mistakes import is_setting, nearest

PYDANTICS_WORDS = re.compile(r"given:|Value error|Input should|Extra inputs|\[type=")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text("[world]\nnum_questions = 10\n")
    return path


def refused(path: Path, overrides: dict[str, Any], seed: int | None = None) -> str:
    with pytest.raises(ValueError, match=r"\S") as caught:
        load_preset(path, overrides, seed, given_by="--set")
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("stepgrpo.alfa", 1, "stepgrpo.alfa=1: no such setting; did you mean stepgrpo.alpha?"),
        ("step_grpo.alpha", 1, "step_grpo.alpha=1: no such setting; did you mean stepgrpo.alpha?"),
        ("stepgrpo.alpha.x", 1, "stepgrpo.alpha.x=1: no such setting; did you mean stepgrpo.alpha?"),
        ("learning_rat", 1, "learning_rat=1: no such setting; did you mean warmup.learning_rate or stepgrpo.learning_rate?"),
        ("rewards.qqq", 1, "rewards.qqq=1: no such setting; rewards has hardening"),
        ("qqq", 1, "qqq=1: no such setting; there are name, description, model,"),
        ("sources.name", "a", "sources.name=a: sources is a list, which has no single settings; write it in a preset file"),
        ("stepgrpo.group_size", 1, "stepgrpo.group_size=1: must be greater than or equal to 2"),
        ("stepgrpo.group_size", 2.5, "stepgrpo.group_size=2.5: must be a whole number"),
        ("stepgrpo.alpha", "much", "stepgrpo.alpha=much: must be a number"),
        ("stepgrpo.learning_rate", float("inf"), "stepgrpo.learning_rate=Infinity: must be a finite number"),
        ("stepgrpo.mask_truncated", "perhaps", "stepgrpo.mask_truncated=perhaps: must be true or false"),
        ("stepgrpo.advantage", "grop", "stepgrpo.advantage=grop: must be 'grpo', 'dr_grpo' or 'rloo'"),
        ("stepgrpo", 5, "stepgrpo=5: is a group of settings, not a single value"),
        ("stepgrpo.lora", {"rnk": 8}, 'stepgrpo.lora={"rnk": 8}: rnk: no such setting; did you mean stepgrpo.lora.rank?'),
        ("stepgrpo.lora", {"dropout": 0.1}, 'stepgrpo.lora={"dropout": 0.1}: lora.dropout 0.1 would train'),
        ("stepgrpo.advantage", "dr_grpo", 'stepgrpo.advantage=dr_grpo: advantage "dr_grpo" goes with loss_mean'),
        ("stepgrpo.eval_every", 5, "stepgrpo.eval_every=5: stepgrpo.eval_every is 5 but no question is set aside"),
        ("prompt", "nope", "prompt=nope: no prompt template has this name; there are plain, reasoning"),
        ("model", "", "model=: must have at least 1 character"),
        ("seed", -1, "seed=-1: must be greater than or equal to 0"),
    ],
)
def test_a_wrong_override_is_told_as_it_was_given_and_the_file_is_not_blamed(key: str, value: Any, message: str, mine: Path) -> None:
    told = refused(mine, {"description": "innocent", key: value})
    assert f"--set {message}" in told
    assert "innocent" not in told
    assert mine.name not in told
    assert not PYDANTICS_WORDS.search(told)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepgrpo.alfa = 1", "stepgrpo.alfa = 1: no such setting; did you mean stepgrpo.alpha?"),
        ("[stepgrpo]\ngroup_size = 1", "stepgrpo.group_size = 1: must be greater than or equal to 2"),
        ('[stepgrpo]\nadvantage = "dr_grpo"', 'stepgrpo: advantage "dr_grpo" goes with loss_mean "constant"'),
        ("stepgrpo = 3", "stepgrpo = 3: is a group of settings"),
        ('[[sources]]\nnam = "a"', 'sources.0.nam = "a": no such setting; did you mean sources.name?'),
        ("prompt = 3", "prompt = 3: must be a text"),
    ],
)
def test_a_mistake_in_the_file_is_the_file_s_whatever_is_laid_over_it(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"{text}\n[world]\n")
    for overrides in ({}, {"warmup.batch_size": 2}):
        told = refused(path, overrides)
        assert told.startswith(f"{path}: ")
        assert message in told
        assert "--set" not in told
        assert not PYDANTICS_WORDS.search(told)


def test_mistakes_of_both_are_told_apart_and_the_file_is_named_once(mine: Path) -> None:
    mine.write_text("seed = -1\nmax_pixels = 1\n[world]\n")
    told = refused(mine, {"stepgrpo.alpha": -1})
    assert told.count(str(mine)) == 1
    assert told.endswith("; --set stepgrpo.alpha=-1: must be greater than or equal to 0")


def test_what_the_file_lacks_an_override_may_give(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[sources]]\nname = "a"\npath = "a.json"\nimages = "."\n')
    assert load_preset(path, {"evaluate.data": "held.tsv"}).evaluate.data == Path("held.tsv")


def test_a_seed_given_twice_is_refused(mine: Path) -> None:
    assert "--set seed=3: the seed 4 is given as well" in refused(mine, {"seed": 3}, 4)
    assert load_preset(mine, {}, 4).seed == 4


def test_a_group_that_a_preset_leaves_out_can_be_begun_by_an_override(mine: Path) -> None:
    lora = load_preset(mine, {"stepgrpo.lora.rank": 4}).stepgrpo.lora
    assert lora is not None
    assert lora.rank == 4


def test_a_table_s_defects_stand_under_its_name() -> None:
    with pytest.raises(ValueError, match=r"^order: seed = -1: must be .*; zz = 1: no such setting"):
        parse_preset({"name": "a", "world": {}, "seed": -1, "zz": 1}, "order")


def test_the_nearest_setting_is_a_setting() -> None:
    for wrong in ("alpha", "warm_up.num_epochs", "stepgrpo.lr", "modle", "stepgrpo.lora.rnk"):
        names = re.findall(r"[a-z_]+(?:\.[a-z_]+)*", nearest(wrong).removeprefix("did you mean").replace(" or ", " "))
        assert names
        assert all(map(is_setting, names)), (wrong, names)
