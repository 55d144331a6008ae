"""One recipe, one key: in every process, on every day; and no key for what has no stable spelling."""

import enum
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.recipe import Recipe, spell


class Colour(enum.StrEnum):
    """Text, and yet not."""

    RED = "red"


def recipe(**changes: Any) -> Recipe:
    fields: dict[str, Any] = {"stage": "warmup", "revision": 1, "settings": {"a": 1, "b": {"c": [0.5, None, "ü"]}}}
    return Recipe(**{**fields, "inputs": {"curate": "3f" * 32}, **changes})


def test_the_key_of_a_recipe_never_changes() -> None:
    assert recipe().key == "3e88c37c821a57ae5d98214f6127fbca8e5f15d6e8ba7b1b8ec2607df74572e0"


def test_every_process_finds_the_same_key() -> None:
    script = "import sys; from tasks.recipe import Recipe; print(Recipe('s', 1, {'b': 1, 'a': {'z': 0.1, 'y': ()}}).key)"
    keys = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True, cwd=ROOT
        ).stdout
        for seed in ("1", "2")
    }
    assert keys == {Recipe("s", 1, {"a": {"y": [], "z": 0.1}, "b": 1}).key + "\n"}


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        {1, 2},
        frozenset(),
        Path("a"),
        b"a",
        object(),
        Colour.RED,
        np.float64(0.5),
        np.int64(1),
        {1: 2},
        {"a": [{"b": {3}}]},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_stable_spelling_is_refused_by_name(value: object) -> None:
    with pytest.raises(ValueError, match=r"settings\.alpha"):
        recipe(settings={"alpha": value})


@pytest.mark.parametrize("stage", ["", "../up", "A", "a b", "a/b"])
def test_a_stage_name_is_a_plain_word(stage: str) -> None:
    with pytest.raises(ValueError, match="stage name"):
        Recipe(stage, 1, {})


def test_values_that_python_calls_equal_have_keys_of_their_own() -> None:
    assert len({recipe(settings={"a": value}).key for value in (1, 1.0, True, "1", None, [1], {"1": 1})}) == 7


def test_a_recipe_cannot_be_changed_from_outside() -> None:
    settings = {"deep": {"alpha": 0.1}}
    before = Recipe("s", 1, settings)
    key = before.key
    settings["deep"]["alpha"] = 0.2
    assert before.key == key


def test_a_recipe_survives_its_record() -> None:
    assert Recipe.from_plain(recipe().as_plain()) == recipe()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"revision": 2, "settings": {}}, "revision: 1 -> 2"),
        ({"settings": {"a": 2, "b": {"c": [0.5, None, "ü"]}}}, "settings.a: 1 -> 2"),
        ({"settings": {"a": 1.0, "b": {"c": [0.5, None, "ü"]}}}, "settings.a: 1 -> 1.0"),
        ({"settings": {"a": 1, "b": {"c": [0.5]}}}, r'settings.b.c: [0.5,null,"\u00fc"] -> [0.5]'),
        ({"settings": {"a": 1}}, r'settings.b.c: [0.5,null,"\u00fc"] -> absent'),
        ({"inputs": {"curate": "9b" * 32}}, "inputs.curate: 3f3f3f3f3f3f… -> 9b9b9b9b9b9b…"),
        ({"prompts": {"reasoning": "x"}, "inputs": {}}, 'prompts.reasoning: absent -> "x"'),
        ({"stage": "other"}, "stage: warmup -> other"),
    ],
)
def test_the_first_difference_is_named(changes: dict[str, Any], expected: str | None) -> None:
    assert recipe().first_difference(recipe(**changes)) == expected


def test_a_spelling_is_ascii_sorted_and_tight() -> None:
    assert spell({"b": "ü", "a": (True, None)}) == r'{"a":[true,null],"b":"\u00fc"}'
