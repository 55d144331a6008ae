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
    expected = compare_paired({k: v.correct for k, v in first.items()}, {k: v.correct for k, v in second.items()})
    assert found.pairs == expected == together.pairs
    assert (found.interval, found.p_value, found.num_clusters) == (expected.interval, expected.p_value, None)
    assert (found.gained, found.lost) == (("1", "2"), ("3",))
    assert (found.first_accuracy, found.second_accuracy) == (0.4, 0.6)


def test_rows_of_a_cluster_are_less_evidence_than_rows_alone() -> None:
    draws = random.Random(1)
    seeds = [(str(seed), draws.random() < 0.4, draws.random() < 0.6) for seed in range(40)]
    sides = [{f"{seed}-{i}": Verdict(pair[side], seed) for seed, *pair in seeds for i in range(10)} for side in (0, 1)]
    bare = [{index: Verdict(one.correct) for index, one in side.items()} for side in sides]
    (clustered,), _ = compare_answers({"dynamath": sides[0]}, {"dynamath": sides[1]})
    (apart,), _ = compare_answers({"dynamath": bare[0]}, {"dynamath": bare[1]})
    assert clustered.num_clusters == 40
    assert clustered.pairs == apart.pairs
    assert clustered.p_value > 100 * apart.p_value
    assert clustered.interval is not None
    assert apart.interval is not None
    assert clustered.interval.high - clustered.interval.low > 2 * (apart.interval.high - apart.interval.low)
    assert clustered.interval.low < clustered.pairs.difference < clustered.interval.high


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
    assert (apart[1].num_first, apart[1].num_second, apart[1].pairs.num_common) == (30, 29, 29)
    assert together.pairs.num_common == 37
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
    assert found.pairs.difference == difference
    assert found.interval.high - found.interval.low > 0.2
    assert found.interval.low <= difference <= found.interval.high


@pytest.mark.parametrize("side", [0, 1])
def test_one_run_that_knows_the_clusters_is_enough(side: int) -> None:
    runs = [{str(i): Verdict(right, str(i // 2)) for i in range(20)} for right in (False, True)]
    runs[side] = {index: Verdict(one.correct) for index, one in runs[side].items()}
    (found,), _ = compare_answers({"mme": runs[0]}, {"mme": runs[1]})
    assert found.num_clusters == 10
    assert found.p_value == 2 / 2**10


def test_rows_of_unlike_files_are_no_pairs() -> None:
    first, second = ({str(i): Verdict(True, gold=str(i % size)) for i in range(9)} for size in (3, 4))
    with pytest.raises(ValueError, match=r"heldout: row '3' has the answer '0' in the first run and '3' in the second"):
        compare_answers({"heldout": first}, {"heldout": second})
    compare_answers({"heldout": first}, {"heldout": alone(*[True] * 9)})
