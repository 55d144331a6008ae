"""The reward functions for other trainers, called the way TRL calls them."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from r1vl_core.reasoning.paths import render
from r1vl_core.rewards import RewardFunction, reward_function, step_rar_reward, step_rvr_reward, stepgrpo_reward

GOOD = render("Row 1: red 8 green 6.", "Read both, then subtract.", ["The red digit is 8.", "8 - 6 = 2"], "2")
WRONG = render("Row 1: red 8 green 6.", "Read both, then subtract.", ["The red digit is 8.", "8 - 6 = 3"], "3")
KEY_STEPS = [["red digit is 8"], ["8 - 6 = 2", "8 minus 6 equals 2"]]
CHOICES = {"A": "3", "B": "2"}


def calculate_rewards(reward_funcs: list[RewardFunction], inputs: list[dict[str, Any]], completions: list[Any]) -> dict[str, Any]:
    """The synchronous branch of GRPOTrainer._calculate_rewards, trl 1.16.0, trl/trainer/grpo_trainer.py, lines 1579-1637.

    The names are those of trl.trainer.utils.get_callable_name: a function's `__name__`.
    """
    prompts = [example["prompt"] for example in inputs]
    keys = [key for key in inputs[0] if key not in ["prompt", "completion", "completion_ids"]]
    reward_kwargs: dict[str, Any] = {key: [example[key] for example in inputs] for key in keys}
    reward_kwargs["trainer_state"] = SimpleNamespace(global_step=3)
    reward_kwargs["log_extra"] = lambda column, values: None
    reward_kwargs["log_metric"] = lambda name, value: None
    found = {}
    for reward_func in reward_funcs:
        output = reward_func(prompts=prompts, completions=completions, completion_ids=[[1, 2]] * len(completions), **reward_kwargs)
        assert len(output) == len(prompts)
        found[reward_func.__name__] = output
    return found


def test_plain_texts() -> None:
    inputs = [{"prompt": "How far apart?", "image": "1.png", "answer": "2", "key_steps": KEY_STEPS}] * 3
    found = calculate_rewards([step_rar_reward, step_rvr_reward, stepgrpo_reward], inputs, [GOOD, WRONG, "2"])
    assert found["step_rar_reward"] == pytest.approx([1.1, 0.05, 0.0])
    assert found["step_rvr_reward"] == [1.0, 1.0, 0.0]
    assert found["stepgrpo_reward"] == pytest.approx([2.1, 1.05, 0.0])


def test_conversations_with_choices() -> None:
    """A struct column has every row's letters, None where a question has no such choice; a vision-language prompt holds blocks."""
    prompt = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "How far apart?"}]}]
    rows = [
        {"prompt": prompt, "answer": "B", "key_steps": KEY_STEPS, "choices": {**CHOICES, "C": None}},
        {"prompt": prompt, "answer": "2", "key_steps": KEY_STEPS, "choices": None},
        {"prompt": prompt, "answer": "2", "key_steps": {"Steps": KEY_STEPS}, "choices": {"A": None, "B": None, "C": None}},
    ]
    completions = [
        [{"role": "assistant", "content": GOOD}],
        [{"role": "assistant", "content": "thinking"}, {"role": "assistant", "content": [{"type": "text", "text": GOOD}]}],
        [{"role": "assistant", "content": None}],
    ]
    assert calculate_rewards([stepgrpo_reward], rows, completions)["stepgrpo_reward"] == pytest.approx([2.1, 2.1, 0.0])


def test_an_answer_that_is_none_leaves_the_completion_out() -> None:
    inputs = [{"prompt": "?", "answer": answer, "key_steps": KEY_STEPS} for answer in ("2", None)]
    assert calculate_rewards([step_rvr_reward], inputs, [GOOD, GOOD])["step_rvr_reward"] == [1.0, None]


def test_settings_and_name() -> None:
    listed = render("Row 1: red 8 green 6.", "Read both, then subtract.", ["red digit is 8, 8 - 6 = 2", "so it is settled"], "2")
    strict = reward_function("step_rar", alpha=0.5, hardening="strict", name="strict_rar")
    inputs = [
        {"prompt": [{"role": "user", "content": "How far apart are the two digits of the board?"}], "answer": "2", "key_steps": KEY_STEPS}
    ]
    found = calculate_rewards([strict, reward_function("step_rar", alpha=0.5)], inputs, [[{"role": "assistant", "content": listed}]])
    assert found == {"strict_rar": [1.0], "step_rar_reward": [1.5]}


def test_strict_reads_the_question_from_its_column_or_the_prompt() -> None:
    question = "How far apart are the red digit and the green digit of the board?"
    copied = render("Row 1: red 8 green 6.", question, ["The red digit is 8.", "8 - 6 = 2"], "2")
    score = reward_function("step_rvr", hardening="strict")
    given: dict[str, Any] = {"completions": [copied], "answer": ["2"], "key_steps": [KEY_STEPS]}
    assert score(prompts=["<image>"], question=[question], **given) == [0.0]
    assert score(prompts=[[{"role": "user", "content": question}]], **given) == [0.0]
    assert score(prompts=["Another question altogether, and a long one."], **given) == [1.0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"answer": ["2"]}, "no column 'key_steps'"),
        ({"key_steps": [KEY_STEPS]}, "no column 'answer'"),
        ({"answer": ["2", "3"], "key_steps": [KEY_STEPS]}, "'answer' has 2 rows for 1 completions"),
        ({"answer": [2], "key_steps": [KEY_STEPS]}, "row 0 of the batch: answer is 2"),
        ({"answer": ["2"], "key_steps": [[[""]]]}, "row 0 of the batch: key step 0"),
        ({"answer": ["2"], "key_steps": [[[]]]}, "row 0 of the batch: key step 0"),
        ({"answer": ["2"], "key_steps": [KEY_STEPS], "choices": ["A"]}, "row 0 of the batch: choices is a text"),
    ],
)
def test_a_malformed_column_is_named(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stepgrpo_reward(prompts=["?"], completions=[GOOD], completion_ids=[[1]], **columns)


def test_it_needs_neither_torch_nor_trl() -> None:
    code = "import sys, r1vl_core.rewards; print(sorted({'torch', 'transformers', 'trl', 'duckdb', 'polars'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
