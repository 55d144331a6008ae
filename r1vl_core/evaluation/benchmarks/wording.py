"""What a policy is asked: the question of a benchmark row in R1-VL's words, and in the toolkit's own for other models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import ascii_uppercase

from r1vl_core.evaluation.benchmarks.spreadsheet import MISSING
from r1vl_core.prompts import render_prompt

TextRow = Mapping[str, str]
"""One benchmark row, the texts of the file by column."""

_CHINESE = re.compile("[\u4e00-\u9fff]")
_ASKS_YES_NO = "Please answer yes or no."
_YES_NO_CHOICES = "Choices:\nA: Yes\nB: No"
_OPENING = "Question: "


def as_it_stands(row: TextRow) -> str:
    """The question cell, unchanged."""
    return row["question"]


def with_choices(row: TextRow) -> str:
    """R1-VL's wording of multiple choice: hint, question, a line for each choice that is not missing, and what to do.

    >>> print(with_choices({"question": "Which?", "A": "3", "B": "None", "C": "9"}))
    Question: Which?
    Choices:
    A: 3
    C: 9
    Please select the correct answer from the choices above.
    """
    lines = [*_hint(row), f"{_OPENING}{row['question']}"]
    choices = [f"{letter}: {text}" for letter, text in lettered(row).items()]
    if choices:
        task = "Please select the correct answer from the choices above."
        lines += ["Choices:", *choices, "请直接回答选项字母。" if _CHINESE.search("\n".join([*lines, *choices])) else task]
    return "\n".join(lines)


def with_options(row: TextRow) -> str:
    """The toolkit's wording of multiple choice, for models without one of their own."""
    lines = [*_hint(row), f"{_OPENING}{row['question']}"]
    options = [f"{letter}. {text}" for letter, text in lettered(row).items()]
    if options:
        lines += ["Options:", *options, "Please select the correct answer from the options above. "]
    return "\n".join(lines) + "\n"


def with_yes_no_choices(row: TextRow) -> str:
    """R1-VL's wording of HallusionBench's questions: the request for yes or no becomes two choices.

    >>> print(with_yes_no_choices({"question": "Is it so? Please answer yes or no."}))
    Is it so? Choices:
    A: Yes
    B: No
    """
    question = row["question"]
    if _ASKS_YES_NO in question:
        return question.replace(_ASKS_YES_NO, _YES_NO_CHOICES)
    return f"{question}\n{_YES_NO_CHOICES}"


def with_short_answer(row: TextRow) -> str:
    """The toolkit's wording of ChartQA, for models without one of their own."""
    return f"{row['question']}\nAnswer the question using a single word or phrase."


def instructed(question: str) -> str:
    """R1-VL's whole prompt: the instruction to reason in sections, then the question, opened by "Question: " unless it says so itself."""
    instruction = render_prompt("reasoning", question="").removesuffix(_OPENING)
    return instruction + (question if _OPENING in question else _OPENING + question)


def lettered(row: TextRow) -> dict[str, str]:
    """The choices that pandas does not take for missing, by letter; "None" is among the missing."""
    return {letter: row[letter] for letter in ascii_uppercase if row.get(letter, "") not in MISSING}


def _hint(row: TextRow) -> list[str]:
    return [f"Hint: {row['hint']}"] if row.get("hint", "") not in MISSING else []
