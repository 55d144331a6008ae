"""pass@k is what counting every draw comes to; the vote is over what answers mean; the paper's rows have the paper's means."""

from __future__ import annotations

from itertools import combinations

import pytest

from r1vl_core.data.row_filter import matching
from r1vl_core.evaluation.benchmarks.average import average
from r1vl_core.evaluation.published import PAPER
from r1vl_core.evaluation.samples import ks, majority, pass_at

ROWS = [{"index": str(place), "category": "math" if place % 2 else "it's", "l2-category": "x"} for place in range(12)]


@pytest.mark.parametrize(("num_samples", "num_correct"), [(1, 0), (1, 1), (5, 2), (6, 6), (6, 0)])
def test_pass_at_k_is_the_share_of_draws_with_a_right_one(num_samples: int, num_correct: int) -> None:
    right = [place < num_correct for place in range(num_samples)]
    for k in ks(num_samples):
        draws = list(combinations(right, k))
        assert pass_at(k, num_samples, num_correct) == pytest.approx(sum(map(any, draws)) / len(draws), abs=1e-12)


def test_pass_at_more_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="pass@3"):
        pass_at(3, 2, 1)


@pytest.mark.parametrize(
    ("answers", "place"),
    [(["7", "12", "12.0"], 1), (["7", "12"], 0), (["", "3"], 1), (["", ""], 0), (["a half", "7", "7", "1/2", "0.5"], 0)],
)
def test_the_vote_is_over_what_answers_mean(answers: list[str], place: int) -> None:
    assert majority([f"### The final answer is: {answer}" for answer in answers]) == place


def test_a_letter_votes_with_its_text() -> None:
    responses = [f"The final answer is: {answer}" for answer in ("A", "B: 16", "16")]
    assert majority(responses, (("A", "12"), ("B", "16"))) == 1


def test_the_papers_rows_have_the_papers_means() -> None:
    means = {name: average(row) for name, row in PAPER.items()}
    assert {name: mean.cut for name, mean in means.items() if mean} == {
        "Qwen2-VL-2B": 41.2,
        "R1-VL-2B": 45.8,
        "Qwen2-VL-7B": 53.3,
        "R1-VL-7B": 57.1,
    }


@pytest.mark.parametrize(
    ("expression", "places"),
    [
        ("category = 'math' AND index > 8", [9, 11]),
        ("category = 'it''s' AND index::INT < 3", [0, 2]),
        ("\"l2-category\" = 'y'", []),
        ("index IN (3, 5) AND len(list_filter([index], lambda x: x > 3)) = 1 -- a remark", [5]),
    ],
)
def test_an_expression_chooses_rows(expression: str, places: list[int]) -> None:
    assert matching(ROWS, expression, "a.tsv") == places


@pytest.mark.parametrize(
    "expression",
    [
        "nonsense = 1",
        "category = math",
        "category =",
        "",
        "true) OR (true",
        "true; DROP TABLE x",
        "category > 3",
        "index IN (SELECT content FROM read_text('/etc/hostname'))",
        "true ORDER BY 1",
        "count(*) > 1",
        "index IN (SELECT count(*) FROM duckdb_settings())",
        "EXISTS (FROM range(1000000000000))",
        "CASE WHEN true THEN (FROM query('SELECT true')) END",
        "category = getenv('HOME')",
    ],
)
def test_what_is_no_expression_over_the_columns_is_told_in_one_line(expression: str) -> None:
    with pytest.raises(ValueError, match=r"--where .*a\.tsv has the columns index, category, l2-category") as told:
        matching(ROWS, expression, "a.tsv")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("expression", "told"), [("(" * 50_000, "50,000 characters"), ("category = '\udcff'", "no UTF-8")])
def test_what_duckdb_would_choke_on_is_refused_before(expression: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as error:
        matching(ROWS, expression, "a.tsv")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 200
