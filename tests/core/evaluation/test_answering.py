"""Answering questions about pictures: no question's responses depend on its company, whoever shares its pictures."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator, Sequence

import pytest
from PIL import Image

from r1vl_core.evaluation.answering import Answered, Asked, answer
from r1vl_core.evaluation.decoding import Decoding
from tests.core.tiny_policies import ARCHITECTURES, picture, tiny_policy

TEXTS = ("How many?", "What is the sum of all digits?", "Red or blue?", "7+5?", "Which row?", "Is it so?", "And now?")


def encoded(seed: int) -> bytes:
    buffer = io.BytesIO()
    picture(28 * (1 + seed % 3), 28 * (2 + seed % 2), seed=seed).save(buffer, "PNG")
    return buffer.getvalue()


def questions() -> list[Asked]:
    """Seven questions: two pictures with two each, one with a list of two pictures, two alone."""
    pictures = [(0,), (1,), (0,), (2, 3), (1,), (4,), (5,)]
    return [Asked(f"q{i}", TEXTS[i], tuple(map(encoded, pictures[i]))) for i in range(7)]


def decode(question: Asked) -> Sequence[Image.Image]:
    return [Image.open(io.BytesIO(each)).convert("RGB") for each in question.pictures]


def answers(architecture: str, some: Sequence[Asked], decoding: Decoding, token_budget: int) -> dict[str, Answered]:
    batches = answer(tiny_policy(architecture), some, decoding, decode=decode, token_budget=token_budget)
    return {one.key: one for batch in batches for one in batch}


@pytest.mark.parametrize("decoding", [Decoding(12), Decoding(12, num_samples=3, temperature=1.1, seed=4)], ids=["greedy", "drawn"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_responses_depend_on_no_other_question(architecture: str, decoding: Decoding) -> None:
    together = answers(architecture, questions(), decoding, 10**6)
    assert list(together.values()) != []
    assert answers(architecture, questions()[::-1], decoding, 10**6) == together
    assert answers(architecture, questions(), decoding, 1) == together
    for question in questions()[2:4]:
        assert answers(architecture, [question], decoding, 1) == {question.key: together[question.key]}
    if decoding.num_samples > 1:
        assert len(set(together["q0"].responses)) == 3


def test_a_window_ends_with_the_pictures_that_fill_it() -> None:
    expected = answers("qwen2_vl", questions(), Decoding(6), 10**6)
    batches = list(answer(tiny_policy(), questions(), Decoding(6), decode=decode, token_budget=10**6, window_bytes=1))
    assert [[one.key for one in batch] for batch in batches] == [[f"q{i}"] for i in range(7)]
    assert {one.key: one for batch in batches for one in batch} == expected


def test_no_encoded_picture_is_held_once_it_has_been_looked_at() -> None:
    held = []

    def streamed() -> Iterator[Asked]:
        for number in range(8):
            held.append(tracemalloc.get_traced_memory()[0])
            yield Asked(f"q{number}", "How many?", (encoded(0) + bytes([number]) * 2**22,))  # what follows a picture's end is not read

    tracemalloc.start()
    try:
        list(answer(tiny_policy(), streamed(), Decoding(2), decode=decode))
    finally:
        tracemalloc.stop()
    assert held[-1] - held[1] < 2**22
