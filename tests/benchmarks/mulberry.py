"""Records like Mulberry's, as many as wanted: the format, the length of the texts and the share of reflective records of the real file.

    python tests/benchmarks/mulberry.py FOLDER --records 26000

writes FOLDER/mulberry_sft.json, one JSON array, and the pictures it names. The same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

NUM_PICTURES = 64
"""Distinct pictures, shared by all records: what is measured here is text."""

_TEMPLATE = (
    "Generate an image description based on the question.\nThen, provide a rationale to analyze the question.\n"
    "Next, generate a step-by-step reasoning process to solve the problem. Ensure the steps are logical and concise.\n"
    "Finally, provide a concise summary of the final answer in the following format: 'The final answer is: xxx'.\n\n"
    "Format your response with the following sections, separated by ###:\n### Image Description:\n### Rationales:\n"
    "### Let's think step by step.\n### Step 1:\n### Step 2:\n...\n### The final answer is: \n\n"
)
_PROSE = """
the a of to and in is we that figure angle triangle line point side circle chart bar value table row column shows from with given between
equal length total number can see find use because therefore which this has area radius sum larger smaller left right top bottom first
second third image label axis percentage year difference product ratio parallel perpendicular segment
"""
_WORDS = _PROSE.split()
_SHORT = [word for word in _WORDS if len(word) <= 5]
_RARE = [
    f"{a}{b}{c}"
    for a in ("con", "per", "trans", "ob", "sub")
    for b in ("struct", "form", "tend", "serv")
    for c in ("ion", "ed", "ing", "al")
]
_SUBJECTS = ("triangle ABC", "the bar chart", "circle O", "the table", "quadrilateral ABCD", "the food web", "the map", "the line graph")


def records(count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """`count` records: 6 % reflective, 0.5 % without a final answer, 0.5 % in another format, 1 % said again, 1 % nearly again."""
    draw = random.Random(seed)
    last: dict[str, Any] | None = None
    for number in range(count):
        kind = draw.random()
        if last is not None and kind < 0.01:
            yield last
            continue
        one = _near(last) if last is not None and kind < 0.02 else _record(draw, number, kind)
        yield one
        last = one if kind >= 0.1 else last


def write(folder: Path, count: int, seed: int = 0) -> Path:
    """Write the array and its pictures below `folder`; the array's path."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number in range(NUM_PICTURES):
        _picture(number).save(folder / "images" / f"{number}.png")
    path = folder / "mulberry_sft.json"
    with path.open("w", encoding="utf-8") as file:
        for number, record in enumerate(records(count, seed)):
            file.write("[\n" if number == 0 else ",\n")
            file.write(json.dumps(record, indent=2, ensure_ascii=False))
        file.write("\n]\n")
    return path


def _record(draw: random.Random, number: int, kind: float) -> dict[str, Any]:
    numbers = [draw.randint(2, 997) for _ in range(4)]
    subject = draw.choice(_SUBJECTS)
    question = f"In {subject}, {_sentence(draw, 14)} {numbers[0]} and {_sentence(draw, 8)} {numbers[1]}. What is item {number}?"
    if draw.random() < 0.5:
        question += "\nChoices:\n" + "\n".join(f"{letter}: {value}" for letter, value in zip("ABCD", numbers, strict=True))
    steps = [
        f"### Step {i}: {_sentence(draw, 40)} {a} + {b} = {a + b}. {_sentence(draw, 12)}."
        for i, (a, b) in enumerate(((draw.randint(1, 99), draw.randint(1, 99)) for _ in range(draw.randint(3, 5))), 1)
    ]
    answer = draw.choice(
        [f"{numbers[0]}", f"B: {numbers[1]}", "C", f"{numbers[2]}.", "D" if "\n" in question else "yes", f"${numbers[3]}$"]
    )
    parts = [
        f"### Image Description:\n{_sentence(draw, 60)}.",
        f"### Rationales:\n{_sentence(draw, 40)}.",
        "### Let's think step by step.",
        *steps,
        f"### The final answer is: \n{answer}",
    ]
    if 0.1 <= kind < 0.16:
        parts[-1:-1] = ["I think I have made a mistake. Let me rethink it.", steps[-1]]
    elif 0.16 <= kind < 0.165:
        parts.pop()
    elif 0.165 <= kind < 0.17:
        parts = [_sentence(draw, 200)]
    user = f"<image>{_TEMPLATE if draw.random() < 0.3 else ''}Question: {question}"
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": "\n".join(parts)}]
    return {"messages": messages, "images": f"{draw.randrange(NUM_PICTURES)}.png"}


def _near(record: dict[str, Any]) -> dict[str, Any]:
    """The same question with a few marks changed."""
    user, assistant = record["messages"]
    return {**record, "messages": [{**user, "content": user["content"].replace(". What is", "; what is")}, assistant]}


def _sentence(draw: random.Random, length: int) -> str:
    words = [draw.choice(_SHORT if number % 3 else _WORDS) for number in range(length)]
    words[draw.randrange(length)] = draw.choice(_RARE)
    return " ".join(words)


def _picture(number: int) -> Image.Image:
    draw = random.Random(number)
    image = Image.new("RGB", (320, 240), "white")
    canvas = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = draw.randrange(280), draw.randrange(200)
        canvas.rectangle(
            (x, y, x + draw.randrange(10, 120), y + draw.randrange(10, 120)), fill=tuple(draw.randrange(256) for _ in range(3))
        )
    return image


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--records", type=int, default=26_000)
    given = arguments.parse_args()
    print(write(given.folder, given.records))
