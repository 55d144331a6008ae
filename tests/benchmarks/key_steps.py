"""Rule-based key steps: questions a second on one core, on the bundled world's paths and on paths as long as Mulberry's (300 words).

    python tests/benchmarks/key_steps.py [--questions 4000]

CPU time of one process, so that other work on the machine counts little; the digest says that the key steps are what they were.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import resource
import time
from collections.abc import Sequence

import numpy as np

from r1vl_core.data.extract import extract_each
from r1vl_core.handwriting.world import make_item, written_path
from r1vl_core.reasoning.paths import render

_OPENINGS = (
    "First, we look at the figure and find which quantities are given and which are asked for in the question.",
    "From the picture we can see that the two shapes share a side, which means that their lengths must agree.",
    "Now we use the relation between these quantities, because it holds for every figure of this kind.",
)
_REMARKS = (
    "This follows directly from the definition, so no further assumption about the figure is needed here.",
    "Notice that the remaining parts of the picture do not matter for this, although they are drawn as well.",
    "We keep this result in mind, since it is needed again when the last value is computed below.",
    "It is worth checking that the result is plausible when it is held against what the picture shows.",
)
_NAMES = ("side AB", "the radius", "angle ABC", "the number of apples", "the total cost", "the width of the garden", "the value in 2015")


def mulberry_like(number: int) -> str:
    """A path of about 300 words with four steps: sentences around a few equations and quantities, as Mulberry's are."""
    draw = random.Random(number)
    steps = []
    for _ in range(4):
        a, b = draw.randint(2, 99), draw.randint(2, 99)
        name, other = draw.sample(_NAMES, 2)
        said = draw.choice(
            (
                f"We compute {name}: \\( {a} \\times {b} = {a * b} \\).",
                f"So {name} is {a + b} cm, because ${a} + {b} = {a + b}$ holds.",
                f"Substituting gives x = {a}/{b} and therefore {name} equals {a} more than {other}.",
                f"There are {a} of them, and {b} belong to {other}, which leaves {a + b} - {b} = {a}.",
            )
        )
        steps.append(" ".join((draw.choice(_OPENINGS), said, draw.choice(_REMARKS))))
    description = "The image shows a figure with several labelled parts. " + draw.choice(_REMARKS)
    return render(description, "We need to relate the parts to each other. " + draw.choice(_OPENINGS), steps, str(draw.randint(1, 99)))


def in_lines(number: int) -> str:
    """The same, each sentence on a line of its own."""
    return mulberry_like(number).replace(". ", ".\n")


def with_groups(number: int) -> str:
    """The same with a LaTeX fraction or root in nineteen paths of twenty, which take what is behind them."""
    fractions = re.sub(r"x = (\d+)/(\d+)", r"\\( x = \\frac{\1}{\2} \\)", mulberry_like(number))
    return fractions.replace("holds.", r"holds, so \( \sqrt{16} = 4 \).")


def world_like(number: int) -> str:
    """A reference path of the bundled world."""
    item = make_item(np.random.default_rng([number, 7]), "train")
    return written_path(item, item.draft.answer)


def measure(name: str, texts: Sequence[str]) -> str:
    """A row of the table: CPU time of parsing and extracting, the best of five."""
    best = float("inf")
    for _ in range(5):
        started = time.process_time()
        found = extract_each(texts, 6)
        best = min(best, time.process_time() - started)
    words = sum(len(text.split()) for text in texts) / len(texts)
    steps = sum(map(len, found)) / len(texts)
    digest = hashlib.sha256(json.dumps(found).encode()).hexdigest()[:12]
    return f"| {name} | {words:.0f} | {steps:.1f} | {len(texts) / best:,.0f} | {best:.2f} | {digest} |"


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--questions", type=int, default=2000, help="paths of each kind")
    count = options.parse_args().questions
    print("| paths | words | key steps | questions a second | CPU s | digest |")
    print("|---|---|---|---|---|---|")
    print(measure("the bundled world's", [world_like(number) for number in range(count)]))
    for name, like in (("as long as Mulberry's", mulberry_like), ("every sentence a line", in_lines), ("fractions and roots", with_groups)):
        print(measure(name, [like(number) for number in range(count)]))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
