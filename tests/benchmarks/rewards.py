"""How fast is a reward? `python tests/benchmarks/rewards.py` prints CPU time on one core; nothing here passes or fails.

Two tables: whole rewards a second for paths of about 250 words with 8 key steps of 3 forms, and milliseconds for texts of 1, 10 and
100 kB that are made to hurt (each line should grow tenfold, not a hundredfold).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from r1vl_core.reasoning.paths import render
from r1vl_core.reasoning.rewards import PreparedQuestion, prepare, reward
from r1vl_core.records import Question

SENTENCES = (
    "Row 1 holds 3 and 7, and the numbers in row 2 are 4 and 6, so we add them one after the other.",
    "3 + 7 = 10 is the sum of the first row of the board that the image shows.",
    "4 + 6 = 10, which is the sum of the second row of the board, equal to the first.",
    "The largest digit is 9, the smallest is 2, so we take the difference of those two digits next.",
    "\\( 9 - 2 = 7 \\) is the difference, and we multiply it by the number in the red cell, which is 4.",
    "4 * 7 = 28, and this has to be compared with the choices given in the question above.",
)
KEY_STEPS = (
    *((f"{a} + {b} = {a + b}", f"{b} + {a} = {a + b}", f"{a} plus {b} equals {a + b}") for a, b in ((3, 7), (4, 6), (1, 2), (9, 9))),
    ("largest digit is 9", "largest digit equals 9", "9 is the largest digit"),
    ("9 - 2 = 7", "9 minus 2 equals 7", "7 = 9 - 2"),
    ("4 * 7 = 28", "7 * 4 = 28", "4 \\times 7 = 28"),
    ("red is 4", "red cell is 4", "red equals 4"),
)
UNITS = (
    "3 + 7 = 10 ",
    "1,234",
    "is  equal ",
    "\\frac{",
    "{",
    "9**",
    "x 3 ",
    "-a",
    "'a",
    "###\n",
    "### Step 1: 6\n",
    "### ",
    "* ",
    "&",
    "\n\n",
    "not 6 ",
    "A ",
    ",",
    "( ",
    "- ",
    "1 234 ",
    "six hundred and ",
    "m/s * ",
    "root of ",
    "not that ",
    "x = 2, ",
    "because, ",
    "\u2028",
    "\u00b2",
    "\\sqrt[",
    "$5 ",
)


def main() -> None:
    """Print both tables."""
    choices = (("A", "27"), ("B", "28"), ("C", "29"), ("D", "30"))
    # An answer written as the gold one is told at once: these are not.
    for gold, answer, asked in (("B: 28", "B: 28.0", choices), ("28 cm", "28 centimeters", ())):
        response = render(
            "A board of two rows. " * 8, "Add the digits of each row. " * 8, [f"{s} So far so good." for s in SENTENCES], answer
        )
        prepared = prepare(Question("q", "benchmark", "", "", "?", asked, gold, "", KEY_STEPS))
        seconds = cpu_seconds(lambda r=response, p=prepared: [reward(r, p) for _ in range(500)]) / 500  # type: ignore[misc]
        print(f"{len(response.split())} words, gold {gold!r}, answer {answer!r}: {1 / seconds:,.0f} rewards a second")
    prepared = prepare(Question("q", "benchmark", "", "", "?", (), "28", "", KEY_STEPS))
    for unit in UNITS:
        print(f"{unit!r:18}", *(f"{milliseconds(unit, size, prepared):9.2f} ms" for size in (1_000, 10_000, 100_000)))


def milliseconds(unit: str, size: int, prepared: PreparedQuestion) -> float:
    """CPU time of one reward for a step and an answer filled with a repeated unit."""
    text = (unit * size)[: size // 2]
    return 1e3 * cpu_seconds(lambda: reward(f"### Step 1: {text}\n### The final answer is: {text}", prepared))


def cpu_seconds(work: Callable[[], object]) -> float:
    """The best of three runs."""
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


if __name__ == "__main__":
    main()
