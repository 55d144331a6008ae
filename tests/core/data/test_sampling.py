"""Draws: the size asked for, each source's share, nested, and nothing but ids, sources and seed decide."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from r1vl_core.config import KeySteps, Preset, Warmup, World
from r1vl_core.data.sampling import draw
from tasks.warmup import examples_of
from tasks.world import weights_of
from tests.core.data.samples import question

QUESTIONS = [
    question(number, source=source, key_steps=()) for source, numbers in (("a", range(60)), ("b", range(60, 90))) for number in numbers
]


def ids(size: int, seed: int = 0, **weights: float) -> list[str]:
    """Ids of a draw."""
    return [one.id for one in draw(QUESTIONS, size, weights, seed)]


def shares(size: int, **weights: float) -> Counter[str]:
    """How many of a draw each source gave."""
    return Counter(one.source for one in draw(QUESTIONS, size, weights, 0))


@given(st.integers(0, 100), st.integers(0, 100), st.floats(0.01, 100), st.integers(0, 5))
def test_a_smaller_draw_is_part_of_a_larger_one(one: int, other: int, weight: float, seed: int) -> None:
    small, large = (set(ids(size or 1, seed, a=weight)) for size in sorted((one, other)))
    assert small <= large
    assert len(large) == min(max(one, other, 1), len(QUESTIONS))


def test_sources_give_their_share() -> None:
    assert shares(30) == {"a": 20, "b": 10}
    assert shares(30, b=2.0) == {"a": 15, "b": 15}
    assert shares(30, a=0.5, b=1.0) == {"a": 15, "b": 15}
    assert shares(60, b=100.0) == {"a": 30, "b": 30}  # a source that is used up gives no more


def test_the_order_is_kept_and_does_not_decide() -> None:
    drawn = draw(QUESTIONS, 20, {}, 0)
    assert drawn == [one for one in QUESTIONS if one in drawn]
    assert draw(QUESTIONS[::-1], 20, {}, 0) == drawn[::-1]
    assert ids(20, seed=1) != ids(20)


def test_nothing_is_drawn_unless_asked_for() -> None:
    assert draw(QUESTIONS, 0, {}, 0) == draw(QUESTIONS, 90, {}, 0) == draw(QUESTIONS, 1000, {}, 0) == QUESTIONS


def test_stepgrpo_learns_from_what_warm_up_saw() -> None:
    """The paper's rule: the questions for StepGRPO are drawn from the warm-up data, also where warm-up takes a part."""
    preset = Preset(name="p", world=World(), seed=3, warmup=Warmup(max_questions=50), key_steps=KeySteps(max_questions=20))
    bare = [replace(one, reference_path="") if number % 7 == 0 else one for number, one in enumerate(QUESTIONS)]
    seen = {one.id for one in examples_of(bare, preset)}
    learnt = draw(bare, preset.key_steps.max_questions, weights_of(preset), preset.seed)
    assert {one.id for one in learnt if one.reference_path} <= seen
    assert all(one.reference_path for one in examples_of(bare, preset))
    assert examples_of(QUESTIONS, preset.model_copy(update={"warmup": Warmup()})) == QUESTIONS
