"""The golden table of the toolkit's rules, and what holds for every benchmark on any text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from r1vl_core.evaluation.benchmarks.registry import MODULES
from r1vl_core.evaluation.benchmarks.rulings import BENCHMARKS, Profile, Ruling
from r1vl_core.evaluation.benchmarks.scoring import BenchmarkFile, Undecided, read_benchmark, score
from tests.core.reasoning.golden import load

from .files import ROWS, benchmark_file, write


def _row(name: str, group: dict[str, Any]) -> dict[str, str]:
    row = {**ROWS[name], "answer": group["gold"], **group.get("options", {})}
    if name == "mathvista":
        row |= {"answer_type": group.get("type", "text"), "answer_option": group["gold"]}
        row |= {"question_type": "multi_choice" if "choices" in group else "free_form"}
    if name == "dynamath":
        row["answer_type"] = group["type"]
    return row | ({"choices": repr(group["choices"])} if "choices" in group else {})


def _cases() -> list[Any]:
    return [
        pytest.param(
            name, _row(name, group), row["said"], version, row.get(version, row.get("right")), id=f"{name}-{version}-{row['said']!r:.40}"
        )
        for name, groups in load("benchmark_rules").items()
        for group in groups
        for row in group["rows"]
        for version in ("paper", "current")
    ]


@pytest.mark.parametrize(("name", "row", "said", "version", "right"), _cases())
def test_golden_rules(tmp_path: Path, name: str, row: dict[str, str], said: str, version: Profile, right: bool) -> None:
    # a second row keeps the columns texts, as they are in a whole file
    other = {**row, "index": "VD_figure_1_0_0_1" if name == "hallusionbench" else "1"}
    file = read_benchmark(name, write(tmp_path / "b.tsv", [row, {**other, "answer": "Cow"} if name != "mmstar" else other]))
    first, second = file.rows
    # what an answer is found in, such that it is found unchanged
    ruling = score(file, {first: said, second: "text"}, version).rulings[first]
    assert ruling.correct is right, ruling


def test_every_benchmark_has_a_module_and_says_what_its_file_holds() -> None:
    assert tuple(MODULES) == BENCHMARKS
    assert all(module.__doc__ and "The file" in module.__doc__ for module in MODULES.values())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BenchmarkFile]:
    folder = tmp_path_factory.mktemp("files")
    choices = {"question_type": "multi_choice", "choices": "['3', '5']", "answer_option": "A"}
    more: dict[str, list[dict[str, str]]] = {
        "mathvista": [{}, choices, {"answer_type": "float", "answer": "0.5"}],
        "mathvision": [{}, {"choices": "['3', '5']", "answer": "A"}],
        "dynamath": [{}, {"answer_type": "multiple choice", "answer": "A"}, {"answer_type": "text", "answer": "even"}],
        "chartqa": [{}, {"answer": "['a', '0']"}],
    }
    return {name: benchmark_file(folder, name, *more.get(name, [{}])) for name in BENCHMARKS}


HOSTILE = [
    "²",
    "\ud800",
    "x" * 100_000,
    "9" * 5_000,
    "9" * 40_000 + "x",
    "answer" + " " * 90_000,
    "(" * 3_000,
    "-" * 50_000 + "1",
    "[" * 100_000,
    "=1+1",
    "exit()",
    "NaN",
    "inf",
    "\x00",
    "{}",
    "__import__('os').abort()",
    '{"short answer": NaN}',
    '{"short answer": [[]]}',
    "\\" * 1_000,
    "\\frac{" * 200,
    "\\binom{900}{450}",
    "1" + "+1" * 900,
]
POWERS = ["9**9**9", "$9^{9^{9^9}}$", "1<<99999999"]
"""What only a limit ends: seconds for each, where mathematics is left to another process."""


@pytest.mark.parametrize("profile", get_args(Profile))
@pytest.mark.parametrize("name", BENCHMARKS)
def test_hostile_responses_have_a_verdict(files: dict[str, BenchmarkFile], name: str, profile: Profile) -> None:
    file = files[name]
    powers = POWERS if profile != "strict" else []
    for text in [*HOSTILE, *powers, *(f"The final answer is: {text}" for text in HOSTILE)]:
        result = score(file, dict.fromkeys(file.rows, text), profile)
        assert all(ruling.rule for ruling in result.rulings.values())


@pytest.mark.parametrize("text", POWERS)
def test_a_strict_verdict_comes_in_the_end(files: dict[str, BenchmarkFile], text: str) -> None:
    file = files["mathverse"]
    assert score(file, dict.fromkeys(file.rows, text), "strict").column == 0


@pytest.mark.parametrize("profile", get_args(Profile))
@given(st.text(st.characters(exclude_categories=())))
@example("The final answer is: 7")
def test_any_text_has_a_verdict(files: dict[str, BenchmarkFile], profile: Profile, text: str) -> None:
    for file in files.values():
        if (file.name, profile) != ("mathvision", "current"):  # processes that read LaTeX: see the hostile ones
            assert len(score(file, dict.fromkeys(file.rows, text), profile).rulings) == len(file.rows)


def test_nothing_is_executed(files: dict[str, BenchmarkFile], tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for text in (f"open({str(trace)!r}, 'w')", f"__import__('pathlib').Path({str(trace)!r}).touch()"):
        for file in files.values():
            for profile in get_args(Profile):
                score(file, dict.fromkeys(file.rows, text), profile)
    assert not trace.exists()


STRICT = [
    ("mme", {"answer": "Yes"}, "Yes, the box is red", True),
    ("mme", {"answer": "No"}, "Not visible", False),
    ("hallusionbench", {"answer": "No"}, "The final answer is: No, the bar is longer", True),
    ("mathvision", {"answer": "7"}, "A", False),
    ("mathvision", {"answer": "3\\sqrt{2}"}, "\\sqrt{18}", True),
    ("mathvista", {"answer": "0"}, "0", True),
    ("mathvista", {"answer": "[2007, 2008]", "answer_type": "list"}, "[2007, 2008]", True),
    ("mmstar", {"answer": "A", "A": "None"}, "(A) None", True),
    ("chartqa", {"answer": "100"}, "95", True),
    ("chartqa", {"answer": "100"}, "105.2", False),
    ("chartqa", {"answer": "['Yes', 'No']"}, "No", True),
    ("chartqa", {"answer": "0"}, "=7", False),
    ("dynamath", {"answer": "6.283"}, "2π", True),
    ("dynamath", {"answer": "even", "answer_type": "text"}, "e", False),
    ("dynamath", {"answer": "7.0"}, '{"short answer": 7}', True),
    ("mathverse", {"answer": "60°"}, "60 degrees", True),
    ("handwriting", {"answer": "7"}, "### The final answer is: 7", True),
    ("handwriting", {"answer": "7"}, "7", False),
]


@pytest.mark.parametrize(("name", "changes", "said", "right"), STRICT)
def test_strict_is_right_where_the_toolkit_is_not(tmp_path: Path, name: str, changes: dict[str, str], said: str, right: bool) -> None:
    file = benchmark_file(tmp_path, name, changes)
    result = score(file, dict.fromkeys(file.rows, said), "strict")
    assert [ruling.correct for ruling in result.rulings.values()] == [right]


def test_a_judge_is_asked_about_what_no_rule_decides_and_about_nothing_else(tmp_path: Path) -> None:
    file = benchmark_file(tmp_path, "mathverse", {}, {}, {})
    asked: list[Undecided] = []

    def judge(undecided: Sequence[Undecided]) -> list[Ruling]:
        asked.extend(undecided)
        return [Ruling("B", True, "asked", "judge") if one.response == "it is B" else one.ruling for one in undecided]

    result = score(file, {"0": "B", "1": "it is B", "2": "who knows"}, "paper", judge)
    assert [(one.row["index"], one.response, one.ruling.extracted) for one in asked] == [
        ("1", "it is B", "it is B"),
        ("2", "who knows", "who knows"),
    ]
    assert [asked[0].rule(answer).decided_by for answer in ("B", "C")] == ["rule", "unresolved"]
    assert [(ruling.correct, ruling.decided_by) for ruling in result.rulings.values()] == [
        (True, "rule"),
        (True, "judge"),
        (False, "unresolved"),
    ]
    assert result.num_unresolved == 1
