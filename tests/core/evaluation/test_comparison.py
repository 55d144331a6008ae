"""Two policies on common rows: what is counted, what hangs together, and what is claimed."""

from __future__ import annotations

import random

import pytest

from r1vl_core.evaluation.comparison import Verdict, compare_answers, sentence
from r1vl_core.evaluation.statistics import compare_paired


def alone(*right: bool) -> dict[str, Verdict]:
    return {str(index): Verdict(one) for index, one in enumerate(right)}


def test_rows_that_stand_alone_are_compared_as_pairs() -> None:
    first, second = alone(True, False, False, True, False), alone(True, True, True, False, False)
    (found,), together = compare_answers({"mmstar": first}, {"mmstar": second})
    expected = compare_paired(*({k: v.share == 1 for k, v in side.items()} for side in (first, second)))
    assert found.pairs == expected == together.pairs
    assert (found.interval, found.p_value, found.num_clusters) == (expected.interval, expected.p_value, None)
    assert (found.gained, found.lost) == (("1", "2"), ("3",))
    assert (found.first_accuracy, found.second_accuracy) == (0.4, 0.6)


def test_rows_of_a_cluster_are_less_evidence_than_rows_alone() -> None:
    draws = random.Random(1)
    seeds = [(str(seed), draws.random() < 0.4, draws.random() < 0.6) for seed in range(40)]
    sides = [{f"{seed}-{i}": Verdict(pair[side], seed) for seed, *pair in seeds for i in range(10)} for side in (0, 1)]
    bare = [{index: Verdict(one.num_right) for index, one in side.items()} for side in sides]
    (clustered,), _ = compare_answers({"dynamath": sides[0]}, {"dynamath": sides[1]})
    (apart,), _ = compare_answers({"dynamath": bare[0]}, {"dynamath": bare[1]})
    assert clustered.num_clusters == 40
    assert clustered.pairs == apart.pairs
    assert clustered.pairs is not None
    assert clustered.p_value > 100 * apart.p_value
    assert clustered.interval is not None
    assert apart.interval is not None
    assert clustered.interval.high - clustered.interval.low > 2 * (apart.interval.high - apart.interval.low)
    assert clustered.interval.low < clustered.difference < clustered.interval.high


def test_one_cluster_gives_no_interval_and_equal_answers_one_that_has_a_width() -> None:
    one = {str(i): Verdict(False, "a") for i in range(10)}
    (found,), _ = compare_answers({"mme": one}, {"mme": {index: Verdict(True, "a") for index in one}})
    assert (found.interval, found.p_value) == (None, 1.0)
    pictures = {str(i): Verdict(bool(i % 2), str(i // 2)) for i in range(40)}
    (found,), _ = compare_answers({"mme": pictures}, {"mme": pictures})
    assert found.interval is not None
    assert found.interval.low < 0 < found.interval.high


def test_several_benchmarks_are_adjusted_for_and_put_together() -> None:
    first = {"mmstar": alone(*[False] * 8), "chartqa": alone(*[True] * 30), "mme": alone(False)}
    second = {"chartqa": alone(*[True] * 28, False), "mmstar": alone(*[True] * 8)}
    apart, together = compare_answers(first, second)
    assert [one.benchmark for one in apart] == ["mmstar", "chartqa"]
    assert [one.p_value for one in apart] == [2 / 2**8, 1.0]
    assert [one.p_holm for one in apart] == [4 / 2**8, 1.0]
    assert (apart[1].num_first, apart[1].num_second, apart[1].num_common) == (30, 29, 29)
    assert together.num_common == 37
    assert together.gained[0] == "mmstar/0"


def test_the_sentence_says_who_is_better_only_where_it_is_shown() -> None:
    (clear,), _ = compare_answers({"mmstar": alone(*[False] * 20)}, {"mmstar": alone(*[True] * 20)})
    (unclear,), _ = compare_answers({"mmstar": alone(False, True)}, {"mmstar": alone(True, True)})
    (worse,), _ = compare_answers({"mmstar": alone(*[True] * 20)}, {"mmstar": alone(*[False] * 20)})
    assert sentence("warm-up", "StepGRPO", clear).startswith("StepGRPO beats warm-up on mmstar: +100.0 points [")
    assert sentence("warm-up", "StepGRPO", clear).endswith("p = 1.9e-06")
    assert sentence("a", "b", unclear).startswith("No clear difference between a and b on mmstar: +50.0 points")
    assert sentence("a", "b", worse).startswith("b falls behind a on mmstar: -100.0 points")


def test_nothing_in_common_is_told() -> None:
    with pytest.raises(ValueError, match=r"the first has mme, the second mmstar"):
        compare_answers({"mme": alone(True)}, {"mmstar": alone(True)})
    with pytest.raises(ValueError, match="mme: the two policies have no row in common"):
        compare_answers({"mme": alone(True)}, {"mme": {"x": Verdict(True)}})


@pytest.mark.parametrize(("before", "after", "difference"), [((0, 0), (1, 1), 1.0), ((0, 0), (1, 0), 0.5), ((1, 0), (0, 0), -0.5)])
def test_clusters_that_all_gain_alike_do_not_make_a_difference_certain(
    before: tuple[int, int], after: tuple[int, int], difference: float
) -> None:
    first, second = ({str(i): Verdict(bool(side[i % 2]), str(i // 2)) for i in range(20)} for side in (before, after))
    (found,), _ = compare_answers({"dynamath": first}, {"dynamath": second})
    assert found.interval is not None
    assert found.difference == difference
    assert found.interval.high - found.interval.low > 0.2
    assert found.interval.low <= difference <= found.interval.high


@pytest.mark.parametrize("side", [0, 1])
def test_one_run_that_knows_the_clusters_is_enough(side: int) -> None:
    runs = [{str(i): Verdict(right, str(i // 2)) for i in range(20)} for right in (False, True)]
    runs[side] = {index: Verdict(one.num_right) for index, one in runs[side].items()}
    (found,), _ = compare_answers({"mme": runs[0]}, {"mme": runs[1]})
    assert found.num_clusters == 10
    assert found.p_value == 2 / 2**10


def test_rows_of_unlike_files_are_no_pairs() -> None:
    first, second = ({str(i): Verdict(True, gold=str(i % size)) for i in range(9)} for size in (3, 4))
    with pytest.raises(ValueError, match=r"heldout: row '3' has the answer '0' in the first run and '3' in the second"):
        compare_answers({"heldout": first}, {"heldout": second})
    compare_answers({"heldout": first}, {"heldout": alone(*[True] * 9)})


def sampled(*nums_right: int, of: int) -> dict[str, Verdict]:
    return {str(index): Verdict(one, num_samples=of) for index, one in enumerate(nums_right)}


def test_a_row_counts_once_however_many_responses_it_has() -> None:
    (found,), together = compare_answers({"mmstar": alone(True, False, False)}, {"mmstar": sampled(2, 4, 1, of=4)})
    assert (found.num_common, found.num_first, found.num_second, found.num_samples) == (3, 3, 3, (1, 4))
    assert (found.first_accuracy, found.second_accuracy) == (1 / 3, 7 / 12)
    assert found.difference == together.difference == 0.25
    assert (found.gained, found.lost, found.pairs) == (("1", "2"), ("0",), None)
    assert found.p_value == 6 / 2**3  # of the eight ways to sign -2, 4 and 1 six are as far from nought as 3
    assert found.test == "bootstrap and sign-flip test over rows"


@pytest.mark.parametrize("cluster", [False, True])
def test_to_say_the_same_again_is_no_evidence(cluster: bool) -> None:
    draws = random.Random(5)
    rows = [[draws.random() < share for share in (0.4, 0.6)] for _ in range(60)]

    def run(side: int, num_samples: int) -> dict[str, Verdict]:
        return {str(i): Verdict(num_samples * row[side], str(i // 3) if cluster else None, None, num_samples) for i, row in enumerate(rows)}

    (once,), _ = compare_answers({"mme": run(0, 1)}, {"mme": run(1, 1)})
    for several in ((2, 2), (1, 8), (3, 5)):
        (found,), _ = compare_answers({"mme": run(0, several[0])}, {"mme": run(1, several[1])})
        assert (found.difference, found.num_clusters) == (once.difference, once.num_clusters)
        assert found.p_value == pytest.approx(once.p_value)
        assert found.interval == pytest.approx(once.interval, abs=1e-12 if cluster else 0.02)


def test_more_responses_to_the_same_rows_tell_more() -> None:
    draws = random.Random(6)
    chances = [(draws.random() * 0.8, 0.1) for _ in range(80)]
    widths = []
    for num_samples in (1, 16):
        sides = [
            sampled(*(sum(draws.random() < base + more for _ in range(num_samples)) for base, more in pairs), of=num_samples)
            for pairs in ([(base, 0.0) for base, _ in chances], chances)
        ]
        (found,), _ = compare_answers({"mmstar": sides[0]}, {"mmstar": sides[1]})
        assert found.interval is not None
        widths.append(found.interval.high - found.interval.low)
    assert widths[1] < widths[0] / 2


def test_equal_policies_are_told_apart_no_oftener_than_they_should_be() -> None:
    draws = random.Random(7)
    num_claims = 0
    for _ in range(300):
        chances = [draws.random() for _ in range(60)]
        first, second = (sampled(*(sum(draws.random() < p for _ in range(k)) for p in chances), of=k) for k in (1, 4))
        (found,), _ = compare_answers({"mmstar": first}, {"mmstar": second})
        num_claims += found.p_value < 0.05
    assert num_claims < 27  # 15 are due; 27 or more come by chance once in a few hundred times
