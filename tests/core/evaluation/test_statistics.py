"""The closed forms against scipy, the exact laws they must obey, and a published worked example."""

import itertools
import random
from math import factorial, prod

import pytest
from scipy import stats

from r1vl_core.evaluation.statistics import (
    compare_paired,
    holm,
    mcnemar_p_value,
    paired_difference_interval,
    sign_flip_p_value,
    wilson_interval,
)


def test_wilson_agrees_with_scipy_on_random_counts() -> None:
    random_counts = random.Random(3)
    for _ in range(60):
        total = random_counts.randint(1, 3000)
        correct = random_counts.choice([0, total, random_counts.randint(0, total)])
        confidence = random_counts.choice([0.8, 0.95, 0.99])
        expected = stats.binomtest(correct, total).proportion_ci(confidence, method="wilson")
        assert wilson_interval(correct, total, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_nothing_says_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("correct", "total", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0), (1, 2, 95)])
def test_wilson_refuses_what_is_no_proportion(correct: int, total: int, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"must lie between|a fraction between"):
        wilson_interval(correct, total, confidence)


def test_mcnemar_agrees_with_scipy_on_random_tables() -> None:
    random_counts = random.Random(5)
    for _ in range(60):
        first, second = random_counts.randint(0, 90), random_counts.randint(0, 90)
        expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
        assert mcnemar_p_value(first, second) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_is_exact_for_a_whole_benchmark() -> None:
    assert mcnemar_p_value(8000, 10000) == pytest.approx(stats.binomtest(8000, 18000).pvalue, rel=1e-6)


def test_difference_interval_of_a_published_table() -> None:
    # Bentur et al. 2009, as worked in Fagerland, Lydersen & Laake, Statistics in Medicine 33 (2014): 1, 1, 7, 12 of 21 children.
    assert paired_difference_interval(1, 7, 1, 12) == pytest.approx((-0.507, -0.026), abs=5e-4)


def test_difference_interval_obeys_its_laws() -> None:
    random_counts = random.Random(7)
    for _ in range(200):
        table = [random_counts.randint(0, 40) for _ in range(4)]
        table[random_counts.randrange(4)] += 1
        both, first, second, neither = table
        low, high = paired_difference_interval(both, first, second, neither)
        assert -1 <= low <= (second - first) / sum(table) <= high <= 1
        assert paired_difference_interval(both, second, first, neither) == pytest.approx((-high, -low))


def test_difference_interval_covers_the_truth_as_often_as_it_says() -> None:
    # Exact coverage: the interval of every possible table of 24 rows, weighted by its multinomial probability.
    total, chances = 24, (0.5, 0.08, 0.22, 0.2)
    covered = 0.0
    for both in range(total + 1):
        for first in range(total + 1 - both):
            for second in range(total + 1 - both - first):
                neither = total - both - first - second
                low, high = paired_difference_interval(both, first, second, neither)
                if low <= chances[2] - chances[1] <= high:
                    covered += multinomial((both, first, second, neither), chances)
    assert covered == pytest.approx(0.95, abs=0.03)


def multinomial(counts: tuple[int, ...], chances: tuple[float, ...]) -> float:
    """Probability of the counts under the chances."""
    ways = factorial(sum(counts)) / prod(map(factorial, counts))
    return ways * prod(chance**count for chance, count in zip(chances, counts, strict=True))


def test_compare_paired_counts_only_common_rows() -> None:
    first = {"1": True, "2": True, "3": False, "4": False, "5": True}
    second = {"1": True, "2": False, "3": True, "4": False, "6": True}
    comparison = compare_paired(first, second)
    assert (comparison.num_both, comparison.num_first_only, comparison.num_second_only, comparison.num_neither) == (1, 1, 1, 1)
    assert (comparison.num_common, comparison.num_unpaired) == (4, 2)
    assert (comparison.difference, comparison.p_value) == (0.0, 1.0)


def test_compare_paired_of_different_benchmarks_is_refused() -> None:
    with pytest.raises(ValueError, match="no row in common"):
        compare_paired({"1": True}, {"2": True})


def test_the_test_over_clusters_of_one_row_is_mcnemars() -> None:
    random_counts = random.Random(11)
    for _ in range(40):
        first, second = random_counts.randint(0, 60), random_counts.randint(0, 60)
        signs = [1] * second + [-1] * first + [0] * 7
        assert sign_flip_p_value(signs) == pytest.approx(mcnemar_p_value(first, second), rel=1e-9)


def test_the_test_over_clusters_counts_every_way_to_flip_them() -> None:
    random_counts = random.Random(12)
    for _ in range(30):
        differences = [random_counts.randint(-10, 10) for _ in range(random_counts.randint(1, 9))]
        sums = [sum(pair) for pair in _flips(differences)]
        expected = sum(abs(one) >= abs(sum(differences)) for one in sums) / len(sums)
        assert sign_flip_p_value(differences) == pytest.approx(expected, rel=1e-12)


def _flips(differences: list[int]) -> list[tuple[int, ...]]:
    return list(itertools.product(*[(one, -one) for one in differences]))


def test_rows_that_hang_together_are_less_evidence() -> None:
    assert sign_flip_p_value([10] * 5) == 2 / 2**5 > mcnemar_p_value(0, 50)


def test_holm_agrees_with_scipys_definition_and_keeps_the_order() -> None:
    random_values = random.Random(13)
    for size in range(1, 10):
        values = [random_values.random() ** 3 for _ in range(size)]
        adjusted = holm(values)
        ordered = sorted(values)
        expected = [min(1.0, max((size - j) * ordered[j] for j in range(i + 1))) for i in range(size)]
        assert sorted(adjusted) == pytest.approx(expected)
        assert all(one >= value for one, value in zip(adjusted, values, strict=True))


def test_many_clusters_of_very_unlike_sizes_are_tested_in_the_normal_limit() -> None:
    draws = random.Random(11)
    fine = [draws.randint(-1000, 1040) for _ in range(3000)]  # their sums are too many to go through
    coarse = [round(difference / 20) for difference in fine]
    assert sign_flip_p_value(fine) == pytest.approx(sign_flip_p_value(coarse), abs=0.01)
    assert sign_flip_p_value([20 * difference for difference in coarse]) == sign_flip_p_value(coarse)
