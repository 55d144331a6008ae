"""Train the bundled base model: it transcribes boards and answers short questions, and does not reason in sections.

Warm-up and StepGRPO then do to it what they do to a real base model. Every example is drawn from a generator seeded by
(seed, number), on training glyphs only; the same seed and machine give the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from r1vl_core.config import Warmup
from r1vl_core.handwriting.boards import COLOURS, Board, draw_board, render_board
from r1vl_core.handwriting.questions import listed
from r1vl_core.handwriting.tiny_model import new_tiny_policy, train_tokenizer
from r1vl_core.handwriting.world import make_item, written_path, written_question
from r1vl_core.policy.model import Policy
from r1vl_core.prompts import render_prompt
from r1vl_core.report import Report
from r1vl_core.training.warmup import Example, train

NUM_STEPS = 900
"""Optimiser steps on all boards and questions, of the committed weights."""

FIRST_STEPS = 240
"""Optimiser steps before those, on transcriptions of small boards alone: started on everything at once, the model was still blind
after 500 steps, and learns to look within 200 when nothing else is asked."""

LAST_STEPS = 400
"""Optimiser steps after those, on short answers that follow a transcription: they teach the model to read what it wrote."""

FIRST = Warmup(num_epochs=1, batch_size=64, learning_rate=1e-3, warmup_ratio=0.2, weight_decay=0.01, save_every=120)
SETTINGS = Warmup(num_epochs=1, batch_size=96, learning_rate=1.5e-3, warmup_ratio=0.03, weight_decay=0.01, save_every=150)
LAST = Warmup(num_epochs=1, batch_size=96, learning_rate=1e-3, warmup_ratio=0.03, weight_decay=0.01, save_every=100)

_NUM_TOKENIZER_TEXTS = 4000


def train_tiny_base(out: Path, seed: int, num_steps: int = NUM_STEPS, work_dir: Path | None = None) -> Iterator[Report]:
    """Train and save the base model to `out`, yielding a report a step; resumes from `work_dir` when it holds checkpoints."""
    out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be written must not be found out about at the end
    policy = new_tiny_policy(train_tokenizer(_tokenizer_texts()), seed)
    phases = (
        ("first", first_example, FIRST, min(FIRST_STEPS, num_steps)),
        ("all", base_example, SETTINGS, num_steps),
        ("last", last_example, LAST, min(LAST_STEPS, num_steps)),
    )
    for name, example, settings, steps in phases:
        yield from train(
            policy,
            partial(example, policy, seed),
            num_examples=steps * settings.batch_size,
            settings=settings,
            seed=seed,
            work_dir=work_dir and work_dir / name,
        )
    policy.save(out)


def first_example(policy: Policy, seed: int, number: int) -> Example:
    """The example of that number in the first phase, encoded: a small board and its transcription."""
    rng = np.random.default_rng([seed, 1, number])
    board = draw_board(rng, 2, "train")
    return _example(policy, number, board, "Transcribe the board.", board.transcription(), rng)


def base_example(policy: Policy, seed: int, number: int) -> Example:
    """The example of that number in the second phase, encoded: any board, a transcription or a short question."""
    rng = np.random.default_rng([seed, 2, number])
    board = draw_board(rng, int(rng.integers(2, 4)), "train")
    return _example(policy, number, board, *_short_question(board, rng), rng)


def last_example(policy: Policy, seed: int, number: int) -> Example:
    """The example of that number in the third phase, encoded: a transcription with two to four short answers read off it in any order,
    or one of the second phase."""
    rng = np.random.default_rng([seed, 3, number])
    board = draw_board(rng, int(rng.integers(2, 4)), "train")
    if rng.random() < 0.15:
        return _example(policy, number, board, *_short_question(board, rng), rng)
    kinds = rng.permutation(len(_READINGS))[: int(rng.integers(2, 5))]
    wanted, found = zip(*(_READINGS[int(kind)](board, rng) for kind in kinds), strict=True)
    question = f"Transcribe the board, then {', '.join(wanted)}."
    return _example(policy, number, board, question, "\n".join([board.transcription(), *found]), rng)


def _read_colours(board: Board, rng: np.random.Generator) -> tuple[str, str]:
    one, other = (str(colour) for colour in rng.choice(list(COLOURS), size=2, replace=False))
    a, b = board.coloured(one), board.coloured(other)
    large, small = max(a, b), min(a, b)
    read = f"The {one} digit is {a}.\nThe {other} digit is {b}.\n"
    if rng.random() < 0.5:
        return f"multiply the {one} and the {other} digit", f"{read}{a} * {b} = {a * b}"
    return f"compare the {one} and the {other} digit", f"{read}{large} - {small} = {large - small}"


def _read_line(board: Board, rng: np.random.Generator) -> tuple[str, str]:
    number = int(rng.integers(1, board.size + 1))
    if rng.random() < 0.5:
        return f"read row {number}", f"Row {number} holds {listed(board.row(number))}."
    digits = board.column(number)
    return f"read column {number}", f"Column {number}: {' + '.join(map(str, digits))} = {sum(digits)}"


def _read_extremes(board: Board, rng: np.random.Generator) -> tuple[str, str]:
    large, small = max(board.digits), min(board.digits)
    return "find the largest and the smallest digit", f"The largest digit is {large}.\nThe smallest digit is {small}."


def _read_above(board: Board, rng: np.random.Generator) -> tuple[str, str]:
    bound = int(rng.integers(2, 7))
    above = [digit for digit in board.digits if digit > bound]
    return f"pick the digits greater than {bound}", f"The digits greater than {bound} are {listed(above)}." if above else "There is none."


def _read_corners(board: Board, rng: np.random.Generator) -> tuple[str, str]:
    a, b = board.digits[0], board.digits[-1]
    return "add both corners", f"The top left digit is {a}.\nThe bottom right digit is {b}.\n{a} + {b} = {a + b}"


_READINGS = (_read_colours, _read_line, _read_extremes, _read_above, _read_corners)


def _example(policy: Policy, number: int, board: Board, question: str, answer: str, rng: np.random.Generator) -> Example:
    return Example(policy.encode(str(number), question, render_board(board, rng)), policy.encode_path(answer))


def _short_question(board: Board, rng: np.random.Generator) -> tuple[str, str]:
    kind = rng.random()
    if kind < 0.45:
        return "Transcribe the board.", board.transcription()
    if kind < 0.75:
        return _arithmetic(rng)
    return _lookup(board, rng)


def _arithmetic(rng: np.random.Generator) -> tuple[str, str]:
    kind = int(rng.integers(4))
    a, b = (int(value) for value in rng.integers(0, 10, size=2))
    if kind == 0:
        a = int(rng.integers(0, 19))
        return f"What is {a} + {b}?", f"{a} + {b} = {a + b}"
    if kind == 1:
        return f"What is {max(a, b)} - {min(a, b)}?", f"{max(a, b)} - {min(a, b)} = {max(a, b) - min(a, b)}"
    if kind == 2:
        return f"What is {a} * {b}?", f"{a} * {b} = {a * b}"
    a, b = (int(value) for value in rng.integers(0, 28, size=2))
    return f"Compare {a} and {b}.", f"{a} {'=' if a == b else '>' if a > b else '<'} {b}"


def _lookup(board: Board, rng: np.random.Generator) -> tuple[str, str]:
    kind = int(rng.integers(4))
    number = int(rng.integers(1, board.size + 1))
    if kind == 0:
        colour = str(rng.choice(list(COLOURS)))
        return f"What is the {colour} digit?", str(board.coloured(colour))
    if kind == 1:
        return f"What are the digits in row {number}?", " ".join(map(str, board.row(number)))
    if kind == 2:
        return f"What are the digits in column {number}?", " ".join(map(str, board.column(number)))
    return (
        ("What is the largest digit?", str(max(board.digits)))
        if rng.random() < 0.5
        else ("What is the smallest digit?", str(min(board.digits)))
    )


def _tokenizer_texts() -> Iterator[str]:
    """What the tokenizer learns its words from: questions, paths, the instruction and short answers."""
    rng = np.random.default_rng(0)
    yield render_prompt("reasoning", question="")
    yield "system\nYou are a helpful assistant.\nuser\nassistant\n"
    for _ in range(_NUM_TOKENIZER_TEXTS):
        item = make_item(rng, "train")
        yield written_question(item)
        yield written_path(item, item.draft.answer)
        board = draw_board(rng, 2, "train")
        yield "\n".join(_short_question(board, rng))
