"""The cluster bootstrap against scipy's, and the laws it must obey."""

from __future__ import annotations

import copy
import json
import pickle
import random

import numpy
import pytest
from scipy import stats

from r1vl_core.evaluation.benchmarks.intervals import intervals, intervals_of_means, numbers
from r1vl_core.evaluation.benchmarks.registry import benchmark, group_key
from r1vl_core.evaluation.benchmarks.tables import Percent
from r1vl_core.evaluation.bootstrap import Stratum, bootstrap_difference, bootstrap_interval, mean_interval, value
from r1vl_core.evaluation.statistics import wilson_interval
from tasks.stages import flat

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
    cells = {"column": totals.column, **flat(totals.tables)}
    strata, found = numbers(name, judged), intervals(name, judged, totals)
    assert strata.keys() <= cells.keys() == found.keys()
    for key, cell in cells.items():
        if key in strata:
            assert value(strata[key]) == pytest.approx(cell)
        interval = found[key]
        if interval is not None:  # as for a set alone in its category
            assert interval.low - 1e-9 <= cell <= interval.high + 1e-9
    assert sum(interval is None for interval in found.values()) < len(found) / 4


def test_whole_seeds_and_whole_pictures_stand_alone() -> None:
    judged: Judged = [(row, number % 7 != 0) for number, row in enumerate(rows("dynamath"))]
    totals = benchmark("dynamath").sum_up(judged)
    worst = totals.tables["worst_case"]["overall"]
    low, high = wilson_interval(worst.num_right, worst.num_all)
    assert intervals("dynamath", judged, totals)["worst_case.overall"] == (100 * low, 100 * high)


def test_rows_of_other_benchmarks_stand_alone_in_every_category() -> None:
    judged: Judged = [({"index": str(number), "category": "math" if number < 4 else "logic"}, number < 3) for number in range(10)]
    found = intervals("mmstar", judged, benchmark("mmstar").sum_up(judged))
    counts = {"column": (3, 10), "overall": (3, 10), "category.logic": (0, 6), "category.math": (3, 4)}
    assert found == {name: tuple(100 * end for end in wilson_interval(*count)) for name, count in counts.items()}
    assert group_key("chartqa", judged[0][0]) is None


def test_a_share_is_a_number_that_can_be_copied_and_sent() -> None:
    share = benchmark("mmstar").sum_up([({"index": "0", "category": "math"}, True)]).column
    assert isinstance(share, Percent)
    for again in (copy.deepcopy(share), pickle.loads(pickle.dumps(share))):
        assert (again, again.num_right, again.num_all, json.dumps(again)) == (100.0, 1, 1, "100.0")


@pytest.mark.parametrize("name", ["dynamath", "hallusionbench", "mme", "mmstar"])
def test_the_mean_of_equal_samples_is_as_sure_as_one_of_them(name: str) -> None:
    draws = random.Random(8)
    asked = [{**row, "category": "math"} for row in rows("dynamath")] if name == "mmstar" else rows(name)
    judged: Judged = [(row, draws.random() < 0.7) for row in asked]
    totals = benchmark(name).sum_up(judged)
    once = intervals(name, judged, totals)
    twice, often = (intervals_of_means(name, [judged] * times, [totals] * times) for times in (2, 8))
    assert twice.keys() == once.keys()
    assert twice == often
    drawn = numbers(name, judged).keys()
    assert {key: once[key] for key in drawn} == {key: twice[key] for key in drawn}
    if name == "mmstar":
        assert twice["column"] == pytest.approx(once["column"], abs=2)


def test_samples_that_differ_are_surer_than_one_and_less_sure_than_as_many_rows() -> None:
    draws = random.Random(9)
    chances = [draws.random() for _ in range(100)]
    samples: list[Judged] = [[({"index": str(i), "category": "math"}, draws.random() < p) for i, p in enumerate(chances)] for _ in range(8)]
    totals = [benchmark("mmstar").sum_up(judged) for judged in samples]
    one, mean = intervals("mmstar", samples[0], totals[0])["column"], intervals_of_means("mmstar", samples, totals)["column"]
    assert one is not None
    assert mean is not None
    low, high = wilson_interval(400, 800)
    assert 1.5 * 100 * (high - low) < mean.high - mean.low < one.high - one.low
    assert mean.low < sum(total.column for total in totals) / 8 < mean.high


def test_clusters_that_fare_alike_do_not_make_a_number_certain() -> None:
    judged: Judged = [(row, number % 2 == 0) for number, row in enumerate(rows("mme"))]
    found = intervals("mme", judged, benchmark("mme").sum_up(judged))
    low, high = wilson_interval(4.5, 9)
    assert found["accuracy.OCR"] == pytest.approx((100 * low, 100 * high))


def test_a_mean_of_fractions_is_as_sure_as_the_rows_they_stand_for() -> None:
    draws = random.Random(10)
    rights = [draws.random() < 0.6 for _ in range(200)]
    found = mean_interval(list(map(float, rights)), range(200))
    assert found == pytest.approx(bootstrap_interval([stratum([[right] for right in rights])]))
    clustered = mean_interval(list(map(float, rights)), [number // 10 for number in range(200)])
    assert clustered == pytest.approx(bootstrap_interval([stratum([rights[at : at + 10] for at in range(0, 200, 10)])]))
