"""The cluster bootstrap against scipy's, and the laws it must obey."""

from __future__ import annotations

import random
from typing import Any

import numpy
import pytest
from scipy import stats

from r1vl_core.evaluation.benchmarks.intervals import intervals, numbers
from r1vl_core.evaluation.benchmarks.registry import benchmark, group_key
from r1vl_core.evaluation.bootstrap import Stratum, bootstrap_difference, bootstrap_interval, value
from r1vl_core.evaluation.statistics import wilson_interval

Judged = list[tuple[dict[str, str], bool]]


def stratum(clusters: list[list[bool]], weight: float = 1.0) -> Stratum:
    hits = numpy.array([[sum(cluster)] for cluster in clusters])
    return Stratum(hits, numpy.array([[len(cluster)] for cluster in clusters]), (weight,))


def test_it_agrees_with_scipys_percentile_bootstrap_of_a_ratio() -> None:
    draws = random.Random(1)
    clusters = [[draws.random() < share for _ in range(draws.randint(1, 6))] for share in (draws.random() for _ in range(80))]
    hits, totals = [float(sum(one)) for one in clusters], [float(len(one)) for one in clusters]
    expected = stats.bootstrap(
        (hits, totals),
        lambda hits, totals, axis: hits.sum(axis) / totals.sum(axis),
        paired=True,
        method="percentile",
        n_resamples=20_000,
        rng=numpy.random.default_rng(5),
    ).confidence_interval
    assert bootstrap_interval([stratum(clusters)]) == pytest.approx((expected.low, expected.high), abs=0.005)


def test_the_same_rows_in_fewer_clusters_say_less() -> None:
    draws = random.Random(2)
    seeds = [[draws.random() < 0.2 + 0.6 * (seed % 2)] * 10 for seed in range(40)]  # variants of a seed fare alike
    alone = [[right] for seed in seeds for right in seed]
    together, apart = bootstrap_interval([stratum(seeds)]), bootstrap_interval([stratum(alone)])
    assert together is not None
    assert apart is not None
    assert together.high - together.low > 2.5 * (apart.high - apart.low)
    low, high = wilson_interval(sum(map(sum, seeds)), 400)
    assert apart == pytest.approx((low, high), abs=0.01)


def test_one_cluster_says_nothing_and_is_said_to() -> None:
    assert bootstrap_interval([stratum([[True, False, True]])]) is None
    assert bootstrap_interval([]) is None
    assert bootstrap_difference([stratum([[True]])], [stratum([[False]])]) is None


def test_the_same_verdicts_give_the_same_interval() -> None:
    clusters = [[bool(number % 3), bool(number % 2)] for number in range(30)]
    assert bootstrap_interval([stratum(clusters)]) == bootstrap_interval([stratum(clusters)])


@pytest.mark.parametrize("right", [True, False])
def test_where_all_rows_agree_a_cluster_counts_once(right: bool) -> None:
    found = bootstrap_interval([stratum([[right] * 10] * 20, 100.0)])
    low, high = wilson_interval(20 * right, 20)
    assert found == pytest.approx((100 * low, 100 * high))


def test_a_difference_pairs_the_clusters() -> None:
    draws = random.Random(3)
    first = [[draws.random() < 0.5] * 10 for _ in range(100)]
    assert bootstrap_difference([stratum(first)], [stratum(first)]) == (0.0, 0.0)
    better = [[True] * 10 if number < 20 else one for number, one in enumerate(first)]
    found = bootstrap_difference([stratum(first)], [stratum(better)])
    assert found is not None
    assert 0 < found.low < value([stratum(better)]) - value([stratum(first)]) < found.high


def rows(name: str) -> list[dict[str, str]]:
    if name == "dynamath":
        return [
            {"index": f"{seed}-{variant}", "qid": str(seed), "varid": str(variant), "subject": "algebra", "knowledge_level": "1"}
            for seed in range(12)
            for variant in range(1, 11)
        ]
    if name == "hallusionbench":
        return [
            {"index": f"VD_ocr_1_{group}_{figure}_{question}", "category": "VD", "l2-category": level}
            for level in ("VD_ocr", "VD_map")
            for group in range(5)
            for figure in range(3)
            for question in range(3)
        ]
    return [
        {"index": f"{subtask}{picture}{question}", "category": subtask, "image_path": f"{subtask}/{picture}"}
        for subtask in ("OCR", "count", "text_translation")
        for picture in range(9)
        for question in range(2)
    ]


@pytest.mark.parametrize("name", ["dynamath", "hallusionbench", "mme"])
def test_the_numbers_are_the_published_ones_and_lie_in_their_intervals(name: str) -> None:
    draws = random.Random(4)
    judged: Judged = [(row, draws.random() < 0.7) for row in rows(name)]
    totals = benchmark(name).sum_up(judged)
    published: dict[str, Any] = {
        "dynamath": {"average": totals.column, "worst_case": totals.tables.get("worst_case", {}).get("overall")},
        "hallusionbench": totals.tables.get("overall", {}),
        "mme": totals.tables.get("category", {}),
    }[name]
    strata, found = numbers(name, judged), intervals(name, judged)
    assert {key: value(parts) for key, parts in strata.items()} == pytest.approx({"column": totals.column, **published})
    for key, parts in strata.items():
        interval = found[key]
        assert interval is not None
        assert interval.low <= value(parts) <= interval.high


def test_rows_of_other_benchmarks_stand_alone() -> None:
    judged: Judged = [({"index": str(number)}, number < 3) for number in range(10)]
    low, high = wilson_interval(3, 10)
    assert intervals("mmstar", judged) == {"column": (100 * low, 100 * high)}
    assert group_key("chartqa", judged[0][0]) is None
