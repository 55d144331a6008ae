"""The golden tables: validity, answers and matching, every hand-worked case."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from r1vl_core.reasoning.answers import is_correct
from r1vl_core.reasoning.key_steps import compile_key_steps, match
from r1vl_core.reasoning.paths import parse
from r1vl_core.reasoning.rewards import step_rvr

from .golden import load, step


def _answers() -> list[Any]:
    cases = []
    for group in load("answers")["group"]:
        question = SimpleNamespace(choices=tuple(group.get("choices", {}).items()))
        for verdict in ("correct", "wrong", "absent"):
            for answer in group.get(verdict, []):
                cases.append(pytest.param(answer, group["gold"], question, verdict, id=f"{answer!r} for {group['gold']!r} is {verdict}"))
    return cases


def _matching() -> list[Any]:
    groups = load("matching")["group"]
    cases = [(group["form"], text, True) for group in groups for text in group["in"]]
    cases += [(group["form"], text, False) for group in groups for text in group["not_in"]]
    return [pytest.param(*case, id=f"{case[0]!r} {'in' if case[2] else 'not in'} {case[1]!r}") for case in cases]


@pytest.mark.parametrize(("answer", "gold", "question", "verdict"), _answers())
def test_answers(answer: str, gold: str, question: SimpleNamespace, verdict: str) -> None:
    assert is_correct(answer, gold, question).verdict == verdict


@pytest.mark.parametrize(("form", "text", "expected"), _matching())
def test_matching(form: str, text: str, expected: bool) -> None:
    found = match(parse(step(text)), compile_key_steps([[form]]))[0]
    assert (found is not None) == expected


@pytest.mark.parametrize("case", [pytest.param(case, id=case["about"]) for case in load("validity")["case"]])
def test_validity(case: dict[str, Any]) -> None:
    path = parse(case["path"])
    assert [defect.value for defect in path.defects] == case["defects"]
    assert step_rvr(path) == case["step_rvr"]


def test_tables_are_large_enough_to_trust() -> None:
    assert len(_answers()) >= 1400
    assert len(_matching()) >= 650
    assert len(load("validity")["case"]) >= 250
