"""Question families of the handwriting world: what is asked about a board, and the reference reasoning to the answer.

Each family is one function from a board and a random generator to a `Draft`. Families need two to four steps of reasoning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from r1vl_core.handwriting.boards import COLOURS, Board


@dataclass(frozen=True, slots=True)
class Draft:
    """A question about a board before it is written in anybody's format.

    `steps` spell every step out; `leap` says the same in two, without a look at the digits in between. `answer` is the bare value
    ("12"), or the letter where `choices` (letter, text) are given.

    >>> steps, leap = ("Row 1 holds 3 and 7.", "3 + 7 = 10"), ("Add the digits of row 1.", "row 1 = 10")
    >>> Draft("row_sum", "What is the sum of row 1?", "Add the digits.", steps, leap, "10").answer
    '10'
    """

    family: str
    text: str
    rationale: str
    steps: tuple[str, ...]
    leap: tuple[str, str]
    answer: str
    choices: tuple[tuple[str, str], ...] = ()


def draw_draft(board: Board, rng: np.random.Generator) -> Draft:
    """A question of a random family; three in ten of the numeric ones as multiple choice."""
    family = FAMILIES[int(rng.integers(len(FAMILIES)))]
    draft = family(board, rng)
    return _as_multiple_choice(draft, rng) if not draft.choices and rng.random() < 0.3 else draft


def row_sum(board: Board, rng: np.random.Generator) -> Draft:
    """Sum of a row."""
    row = int(rng.integers(1, board.size + 1))
    digits = board.row(row)
    steps, total = _running_sum(digits)
    return Draft(
        "row_sum",
        f"What is the sum of the digits in row {row}?",
        f"Read the digits of row {row}, then add them.",
        (f"Row {row} holds {listed(digits)}.", *steps),
        (f"Add the digits of row {row}.", f"row {row} = {total}"),
        str(total),
    )


def spread(board: Board, rng: np.random.Generator) -> Draft:
    """Difference of the largest and the smallest digit."""
    large, small = max(board.digits), min(board.digits)
    return Draft(
        "spread",
        "What is the difference between the largest and the smallest digit?",
        "Find the largest and the smallest digit, then subtract.",
        (f"The largest digit is {large}.", f"The smallest digit is {small}.", f"{large} - {small} = {large - small}"),
        ("Subtract the smallest digit from the largest.", f"largest - smallest = {large - small}"),
        str(large - small),
    )


def colour_product(board: Board, rng: np.random.Generator) -> Draft:
    """Product of the digits on two coloured cells."""
    one, other = (str(colour) for colour in rng.choice(list(COLOURS), size=2, replace=False))
    a, b = board.coloured(one), board.coloured(other)
    return Draft(
        "colour_product",
        f"What is the {one} digit times the {other} digit?",
        f"Read the {one} and the {other} digit, then multiply.",
        (f"The {one} digit is {a}.", f"The {other} digit is {b}.", f"{a} * {b} = {a * b}"),
        (f"Multiply the {one} digit by the {other} digit.", f"{one} * {other} = {a * b}"),
        str(a * b),
    )


def count_above(board: Board, rng: np.random.Generator) -> Draft:
    """How many digits exceed a bound."""
    bound = int(rng.integers(2, 7))
    above = [digit for digit in board.digits if digit > bound]
    found = f"The digits greater than {bound} are {listed(above)}." if above else f"No digit is greater than {bound}."
    return Draft(
        "count_above",
        f"How many digits are greater than {bound}?",
        f"Pick the digits greater than {bound}, then count them.",
        (found, f"The count is {len(above)}."),
        (f"Count the digits greater than {bound}.", f"count = {len(above)}"),
        str(len(above)),
    )


def column_duel(board: Board, rng: np.random.Generator) -> Draft:
    """Which of two columns has the larger sum; always multiple choice."""
    one, other = sorted(int(column) + 1 for column in rng.permutation(board.size)[:2])
    sums = {column: sum(board.column(column)) for column in (one, other)}
    choices = (("A", f"column {one}"), ("B", f"column {other}"), ("C", "both are equal"))
    best = "C" if sums[one] == sums[other] else "A" if sums[one] > sums[other] else "B"
    lines = [f"Column {column}: {' + '.join(map(str, board.column(column)))} = {sums[column]}" for column in (one, other)]
    sign = "=" if best == "C" else ">" if best == "A" else "<"
    return Draft(
        "column_duel",
        f"Which column has the larger sum, column {one} or column {other}?",
        f"Add the digits of column {one} and of column {other}, then compare.",
        (*lines, f"{sums[one]} {sign} {sums[other]}"),
        (f"Compare column {one} and column {other}.", f"column {one} {sign} column {other}"),
        best,
        choices,
    )


def corners_doubled(board: Board, rng: np.random.Generator) -> Draft:
    """Twice the sum of two opposite corners."""
    a, b = board.digits[0], board.digits[-1]
    return Draft(
        "corners_doubled",
        "What is twice the sum of the top left and the bottom right digit?",
        "Read both corners, add them, then double.",
        (f"The top left digit is {a}.", f"The bottom right digit is {b}.", f"{a} + {b} = {a + b}", f"2 * {a + b} = {2 * (a + b)}"),
        ("Add both corners and double the sum.", f"2 * sum = {2 * (a + b)}"),
        str(2 * (a + b)),
    )


def colour_gap(board: Board, rng: np.random.Generator) -> Draft:
    """How far two coloured digits lie apart."""
    one, other = (str(colour) for colour in rng.choice(list(COLOURS), size=2, replace=False))
    a, b = board.coloured(one), board.coloured(other)
    large, small = max(a, b), min(a, b)
    return Draft(
        "colour_gap",
        f"How far apart are the {one} digit and the {other} digit?",
        f"Read the {one} and the {other} digit, then subtract the smaller.",
        (f"The {one} digit is {a}.", f"The {other} digit is {b}.", f"{large} - {small} = {large - small}"),
        (f"Compare the {one} digit and the {other} digit.", f"{one} - {other} = {large - small}"),
        str(large - small),
    )


FAMILIES: tuple[Callable[[Board, np.random.Generator], Draft], ...] = (
    row_sum,
    spread,
    colour_product,
    count_above,
    column_duel,
    corners_doubled,
    colour_gap,
)


def _as_multiple_choice(draft: Draft, rng: np.random.Generator) -> Draft:
    right = int(draft.answer)
    near = [value for value in range(max(0, right - 6), right + 7) if value != right]
    values = [right, *(int(value) for value in rng.choice(near, size=3, replace=False))]
    order = [values[int(i)] for i in rng.permutation(4)]
    choices = tuple((letter, str(value)) for letter, value in zip("ABCD", order, strict=True))
    return replace(draft, answer="ABCD"[order.index(right)], choices=choices)


def _running_sum(digits: tuple[int, ...]) -> tuple[tuple[str, ...], int]:
    total, steps = digits[0], []
    for digit in digits[1:]:
        steps.append(f"{total} + {digit} = {total + digit}")
        total += digit
    return tuple(steps), total


def listed(digits: tuple[int, ...] | list[int]) -> str:
    """Digits in words.

    >>> listed((3, 7, 4))
    '3, 7 and 4'
    """
    words = [str(digit) for digit in digits]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
