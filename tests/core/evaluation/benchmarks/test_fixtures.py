"""Every row of the bundled fixtures as the toolkit's two states judge it, and the published numbers by their formulas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Literal

import pytest

from r1vl_core.evaluation.benchmarks.scoring import BenchmarkFile, Scored, read_benchmark, score

from .files import FIXTURES, SCORED_BY_TOOLKIT, lines

Version = Literal["paper", "current"]


def read(name: str) -> tuple[BenchmarkFile, dict[str, str], dict[str, dict[str, bool]]]:
    file = read_benchmark(name, FIXTURES / f"{name}.tsv")
    responses = {file.index_of(line["index"]) or "": line["response"] for line in lines(FIXTURES / f"{name}.predictions.jsonl")}
    return file, responses, {line["index"]: line for line in lines(FIXTURES / f"{name}.expected.jsonl")}


def scored(name: str, version: Version) -> tuple[BenchmarkFile, Scored, dict[str, bool]]:
    file, responses, expected = read(name)
    return file, score(file, responses, version), {index: line[version] for index, line in expected.items()}


@pytest.mark.parametrize("version", ["paper", "current"])
@pytest.mark.parametrize("name", SCORED_BY_TOOLKIT)
def test_every_row_is_as_the_toolkit_judges_it(name: str, version: Version) -> None:
    _, result, expected = scored(name, version)
    assert {index: ruling.correct for index, ruling in result.rulings.items()} == expected
    assert result.num_missing == 0


@pytest.mark.parametrize("version", ["paper", "current"])
@pytest.mark.parametrize("name", ["mathvista", "mmstar", "mathvision", "chartqa", "dynamath", "mathverse"])
def test_most_columns_are_the_percentage_of_right_rows(name: str, version: Version) -> None:
    _, result, expected = scored(name, version)
    assert result.column == pytest.approx(100 * fmean(expected.values()), abs=1e-9)


@pytest.mark.parametrize("version", ["paper", "current"])
def test_hallusionbench_is_the_mean_of_rows_figures_and_questions(version: Version) -> None:
    file, result, expected = scored("hallusionbench", version)

    def whole(part: int) -> float:
        return all_right(expected, lambda index: (file.rows[index]["l2-category"], index.split("_")[3], index.split("_")[part]))

    assert result.tables["overall"] == pytest.approx({"aAcc": 100 * fmean(expected.values()), "fAcc": whole(4), "qAcc": whole(5)})
    assert result.column == pytest.approx(fmean(result.tables["overall"].values()))


@pytest.mark.parametrize("version", ["paper", "current"])
def test_mme_adds_accuracy_and_accuracy_of_pairs_by_subtask(version: Version) -> None:
    file, result, expected = scored("mme", version)
    total = 0.0
    for subtask in {row["category"] for row in file.rows.values()}:
        of_subtask = {index: right for index, right in expected.items() if file.rows[index]["category"] == subtask}
        total += 100 * fmean(of_subtask.values()) + all_right(of_subtask, lambda index: file.rows[index]["image_path"])
    assert result.column == pytest.approx(total) == result.tables["perception"] + result.tables["reasoning"]


@pytest.mark.parametrize("version", ["paper", "current"])
def test_dynamaths_worst_case_is_the_share_of_seeds_with_every_variant_right(version: Version) -> None:
    file, result, expected = scored("dynamath", version)
    assert result.tables["worst_case"]["overall"] == pytest.approx(all_right(expected, lambda index: file.rows[index]["qid"]))


@pytest.mark.parametrize("name", SCORED_BY_TOOLKIT)
def test_strictly_no_row_is_left_to_a_judge(name: str) -> None:
    file, responses, _ = read(name)
    result = score(file, responses, "strict")
    assert result.num_unresolved == 0
    assert len(result.rulings) == len(file.rows)


def all_right(verdicts: dict[str, bool], group: Callable[[str], object]) -> float:
    groups: dict[object, list[bool]] = defaultdict(list)
    for index, right in verdicts.items():
        groups[group(index)].append(right)
    return 100 * mean(all(right) for right in groups.values())


def mean(flags: Iterable[bool]) -> float:
    return fmean(list(flags))
