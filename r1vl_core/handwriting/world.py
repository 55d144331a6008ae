"""Make a handwriting world: training data in a user's own format, defects included, and a held-out benchmark file.

The files are what real data looks like, and nothing reads them but the readers that read real data:

    mulberry_sft.json   one JSON array of records, as Mulberry-SFT has them
    images/             the pictures the records name
    heldout.tsv         held-out questions, as VLMEvalKit has them (base64 pictures), with a column of reference paths on top
    planted.json        which records, counted from 1, carry a planted defect, and the reason curation should give
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from r1vl_core.handwriting.boards import Split, draw_board, render_board
from r1vl_core.handwriting.questions import Draft, draw_draft
from r1vl_core.reasoning.paths import render

TEMPLATE = "Look at the picture and reason step by step before you answer.\nQuestion: "
_LETTERS = "ABCD"

LEAPS = 0.5
"""Share of the training paths that leap to the result, as people's references do; held-out reference paths spell every step out."""


@dataclass(frozen=True, slots=True)
class Item:
    """A drafted question with its picture (PNG bytes) and the board in words."""

    draft: Draft
    description: str
    png: bytes


def make_world(out: Path, num_questions: int, num_heldout: int, seed: int) -> None:
    """Write a world of `num_questions` clean training records, the planted defects on top, and `num_heldout` held-out questions.

    The same arguments write the same bytes; `out` is whole or absent. Raises ValueError when it holds something else already or cannot
    be made, and OSError, naming it, when the disk gives out while it is written.
    """
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ValueError(f"world folder {out}: not an empty folder; name a new one")
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent)
    except OSError as error:
        raise ValueError(f"world folder {out}: cannot be made: {error.strerror}; name one where you may write") from None
    with beside as folder:
        made = Path(folder) / "world"
        try:
            _write_world(made, num_questions, num_heldout, seed)
            made.rename(out)
        except OSError as error:
            raise OSError(f"world folder {out}: cannot be written: {error.strerror}; make room or name another") from error


def _write_world(out: Path, num_questions: int, num_heldout: int, seed: int) -> None:
    (out / "images").mkdir(parents=True)
    heldout = _unlike_items("heldout", num_heldout, np.random.default_rng([seed, 1]))
    clean = _unlike_items("train", num_questions, np.random.default_rng([seed, 0]))
    rng = np.random.default_rng([seed, 2])
    records: list[tuple[dict[str, Any], str]] = []
    for number, item in enumerate(clean):
        name = _write_image(out, number, item.png)
        records.append((_record(item, name, rng), ""))
    records += list(_planted(out, clean, heldout, rng))
    # A duplicate must come after what it repeats, wherever the shuffle puts it: order by a random key within that rule.
    records = _shuffled(records, rng)
    _write_json(out / "mulberry_sft.json", [record for record, _ in records])
    planted = {str(row): reason for row, (_, reason) in enumerate(records, 1) if reason}
    _write_json(out / "planted.json", planted)
    _write_heldout(out / "heldout.tsv", heldout)


def make_item(rng: np.random.Generator, split: Split) -> Item:
    """One random board with one random question about it."""
    board = draw_board(rng, int(rng.integers(2, 4)), split)
    png = io.BytesIO()
    render_board(board, rng).save(png, "PNG")
    return Item(draw_draft(board, rng), board.transcription(), png.getvalue())


def _unlike_items(split: Split, count: int, rng: np.random.Generator) -> list[Item]:
    items: dict[tuple[str, bytes], Item] = {}
    while len(items) < count:
        item = make_item(rng, split)
        items.setdefault((item.draft.text, item.png), item)
    return list(items.values())


def _planted(out: Path, clean: list[Item], heldout: list[Item], rng: np.random.Generator) -> Iterator[tuple[dict[str, Any], str]]:
    count = max(2, len(clean) // 100)
    fresh = _unlike_items("train", count * 7, rng)
    parts = [fresh[i * count : (i + 1) * count] for i in range(7)]
    for number, item in enumerate(parts[0]):
        name = _write_image(out, len(clean) + number, item.png)
        yield _with_path(_record(item, name, rng), _reflective(item, number, rng)), "reflective"
    for number, item in enumerate(parts[1]):
        name = _write_image(out, len(clean) + count + number, item.png)
        yield _with_path(_record(item, name, rng), _unparsable(item, number, rng)), "unparsable_path"
    for item in parts[2]:
        yield _record(item, f"images_lost/{int(rng.integers(10**6)):06d}.png", rng), "missing_image"
    for number, item in enumerate(parts[3]):
        yield _record(item, _write_image(out, f"cut-{number}", item.png[: len(item.png) // 2]), rng), "broken_image"
    for number, item in enumerate(parts[4]):
        yield _record(item, _write_image(out, f"small-{number}", _shrunk(item.png)), rng), "image_too_small"
    for number, item in enumerate(parts[5]):
        name = _write_image(out, len(clean) + 2 * count + number, item.png)
        yield _with_path(_record(item, name, rng), written_path(item, "0")[: -len("0")]), "no_answer"
    for number, item in enumerate(heldout[:count]):
        yield _record(item, _write_image(out, f"heldout-{number}", item.png), rng), "contaminated"
    for number, index in enumerate(rng.integers(len(clean), size=count)):
        yield _record(clean[int(index)], _write_image(out, f"again-{number}", clean[int(index)].png), rng), "duplicate"


def _shuffled(records: list[tuple[dict[str, Any], str]], rng: np.random.Generator) -> list[tuple[dict[str, Any], str]]:
    singles = [pair for pair in records if pair[1] != "duplicate"]
    order = [singles[int(i)] for i in rng.permutation(len(singles))]
    return order + [pair for pair in records if pair[1] == "duplicate"]


def _record(item: Item, image: str, rng: np.random.Generator) -> dict[str, Any]:
    opening = TEMPLATE if rng.random() < 0.5 else ""
    return {
        "messages": [
            {"role": "user", "content": f"<image>{opening}{written_question(item)}"},
            {"role": "assistant", "content": written_path(_leaping(item) if rng.random() < LEAPS else item, _noisy(item.draft, rng))},
        ],
        "images": image if rng.random() < 0.9 else [image],
    }


def _leaping(item: Item) -> Item:
    """The item with a path that sees the answer at once."""
    return replace(item, draft=replace(item.draft, rationale="See the answer at once.", steps=item.draft.leap))


def _noisy(draft: Draft, rng: np.random.Generator) -> str:
    if draft.choices:
        text = dict(draft.choices)[draft.answer]
        return str(rng.choice([draft.answer, f"{draft.answer}: {text}", f"{draft.answer}. {text}", f"option {draft.answer}."]))
    return draft.answer if rng.random() < 0.8 else f"{draft.answer}."


def written_path(item: Item, answer: str) -> str:
    """The reference reasoning path of an item, ending in `answer` as it is given."""
    return render(item.description, item.draft.rationale, item.draft.steps, answer)


def written_question(item: Item) -> str:
    """The question as a user's file spells it, choices on lines of their own."""
    return "\n".join(
        [item.draft.text, *(["Choices:", *(f"{letter}: {text}" for letter, text in item.draft.choices)] if item.draft.choices else [])]
    )


def _with_path(record: dict[str, Any], path: str) -> dict[str, Any]:
    user, assistant = record["messages"]
    return {**record, "messages": [user, {**assistant, "content": path}]}


def _reflective(item: Item, number: int, rng: np.random.Generator) -> str:
    """The three shapes of a reflective record: the sentence alone, the sentence with a repeated header, a repeated number."""
    draft, answer = item.draft, _noisy(item.draft, rng)
    sentence = "I think I have made a mistake. Let me rethink it."
    wrong = "The digits cannot be read."
    if number % 3 == 0:
        return render(item.description, draft.rationale, (f"{wrong} {sentence}", *draft.steps), answer)
    rethought = f"### Rationales:\n{wrong}\n{sentence}\n### Rationales:" if number % 3 == 1 else "### Rationales:"
    path = written_path(item, answer).replace("### Rationales:", rethought, 1)
    return path if number % 3 == 1 else path.replace("### Step 2:", "### Step 1:", 1)


def _unparsable(item: Item, number: int, rng: np.random.Generator) -> str:
    draft, answer = item.draft, _noisy(item.draft, rng)
    if number % 3 == 0:
        return " ".join(draft.steps) + f" The answer is {answer}"
    if number % 3 == 1:
        return written_path(item, answer).replace(f"### Rationales:\n{draft.rationale}\n", "", 1)
    return f"### The final answer is:\n{answer}\n" + written_path(item, answer).rsplit("### The", 1)[0]


def _shrunk(png: bytes) -> bytes:
    small = io.BytesIO()
    Image.open(io.BytesIO(png)).resize((20, 20)).save(small, "PNG")
    return small.getvalue()


def _write_image(out: Path, number: int | str, content: bytes) -> str:
    name = f"{number:06d}.png" if isinstance(number, int) else f"{number}.png"
    (out / "images" / name).write_bytes(content)
    return name


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _write_heldout(path: Path, items: list[Item]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(["index", "image", "question", *_LETTERS, "answer", "category", "solution"])
        for index, item in enumerate(items):
            choices = dict(item.draft.choices)
            picture = base64.b64encode(item.png).decode("ascii")
            cells = [choices.get(letter, "") for letter in _LETTERS]
            solution = written_path(item, item.draft.answer)
            writer.writerow([index, picture, item.draft.text, *cells, item.draft.answer, item.draft.family, solution])
