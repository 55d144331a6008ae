"""Benchmark responses to browse, one policy's or two side by side: a folder that opens in a browser without a server or a network.

    index.html          the page, with its style and script
    data/index.js       what the list and the filters need of every row
    data/00012.js       all that is said of a hundred rows, read when one of them is looked at
    pictures/ab/….png   each picture once, read when it is on the screen

Data come as scripts because a browser lets a page on the disk read nothing else. They hold JSON that can neither end an element nor open
one, and the page only ever sets text: what a policy wrote stays text.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from markupsafe import Markup

from r1vl_core.evaluation.benchmarks.rulings import Ruling
from r1vl_core.reasoning import paths
from r1vl_core.reporting.page import asset, environment
from r1vl_core.reporting.pictures import shown
from r1vl_core.reporting.segments import cut

PAGE = "index.html"
CHUNK_ROWS = 100
SCRIPTS = ("dom.js", "items.js", "responses.js")
"""The page's scripts, run in this order as one."""

_SNIPPET = 200
_SUFFIX = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif"}


@dataclass(frozen=True, slots=True)
class AnswerView:
    """A policy's response to a row, with the ruling on it by each profile.

    >>> AnswerView("The final answer is: 3", 9, False, {"strict": Ruling("3", True, "number")}).rulings["strict"].correct
    True
    """

    response: str
    num_tokens: int | None
    truncated: bool
    rulings: Mapping[str, Ruling]


@dataclass(frozen=True, slots=True)
class RowView:
    """A row of a benchmark: what was asked (`prompt` whole, `question` as the file has it), with the answers in the order of the policies.

    A policy that did not answer the row has None. `pictures` are encoded.
    """

    benchmark: str
    index: str
    category: str
    question: str
    prompt: str
    choices: tuple[tuple[str, str], ...]
    gold: str
    pictures: tuple[bytes, ...]
    answers: tuple[AnswerView | None, ...]


def write_page(
    folder: Path, title: str, policies: Sequence[str], profiles: Sequence[str], rows: Iterable[RowView], notes: Sequence[str]
) -> int:
    """Write the page into an empty folder and return how many rows it has; memory holds a hundred rows and the list's index."""
    (folder / "data").mkdir()
    index: dict[str, list[Any]] = {name: [] for name in ("benchmark", "category", "index", "question", "verdicts", "picture")}
    remaining, number = iter(rows), 0
    while chunk := list(islice(remaining, CHUNK_ROWS)):
        names = [[_keep_picture(folder, picture) for picture in row.pictures] for row in chunk]
        told = [_row(row, pictures) for row, pictures in zip(chunk, names, strict=True)]
        _write_script(folder / "data" / f"{number:05}.js", f"take({number},", told)
        for row, pictures in zip(chunk, names, strict=True):
            for name, cell in _listed(row, pictures, profiles).items():
                index[name].append(cell)
        number += 1
    told_of_all = {"policies": list(policies), "profiles": list(profiles), "chunkRows": CHUNK_ROWS, "rows": index}
    _write_script(folder / "data" / "index.js", "begin(", told_of_all)
    (folder / PAGE).write_bytes(_page(title, notes).encode("utf-8", "replace"))
    return len(index["index"])


def _page(title: str, notes: Sequence[str]) -> str:
    script = "'use strict';\n" + "\n".join(asset(name) for name in SCRIPTS)
    return (
        environment()
        .get_template("responses.html")
        .render(
            title=title,
            notes=notes,
            style=Markup(asset("style.css") + asset("responses.css")),
            script=Markup(script),
            script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def _write_script(path: Path, call: str, data: Any) -> None:
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    path.write_text(f"{call}{text});\n", encoding="ascii")


def _keep_picture(folder: Path, picture: bytes) -> str:
    """The picture's file under the folder, written unless it is there; empty for what is no picture."""
    digest = hashlib.sha256(picture).hexdigest()
    place = folder / "pictures" / digest[:2]
    there = next(iter(place.glob(f"{digest[2:20]}.*")), None)
    if there is None:
        image, media = shown(picture)
        if not image:
            return ""
        place.mkdir(parents=True, exist_ok=True)
        there = place / f"{digest[2:20]}.{_SUFFIX[media]}"
        there.write_bytes(image)
    return str(there.relative_to(folder))


def _listed(row: RowView, pictures: Sequence[str], profiles: Sequence[str]) -> dict[str, Any]:
    return {
        "benchmark": row.benchmark,
        "category": row.category,
        "index": row.index,
        "question": " ".join(row.question.split())[:_SNIPPET],
        "verdicts": ["".join(_mark(answer, profile) for profile in profiles) for answer in row.answers],
        "picture": next(iter(pictures), ""),
    }


def _mark(answer: AnswerView | None, profile: str) -> str:
    """One letter a verdict: + right, - wrong, ? wrong because nobody could decide, and a blank where there is none."""
    ruling = answer.rulings.get(profile) if answer else None
    if ruling is None:
        return " "
    return "+" if ruling.correct else "?" if ruling.decided_by == "unresolved" else "-"


def _row(row: RowView, pictures: Sequence[str]) -> dict[str, Any]:
    return {
        "question": row.question,
        "prompt": row.prompt,
        "choices": [list(choice) for choice in row.choices],
        "gold": row.gold,
        "pictures": [name for name in pictures if name],
        "answers": [None if answer is None else dict(_answer(answer)) for answer in row.answers],
    }


def _answer(answer: AnswerView) -> Iterator[tuple[str, Any]]:
    yield "pieces", [[piece.kind, piece.label, [[text, []] for text, _ in piece.runs]] for piece in cut(answer.response)]
    yield "defects", [defect.value.replace("_", " ") for defect in paths.parse(answer.response).defects]
    yield "tokens", answer.num_tokens
    yield "truncated", answer.truncated
    rulings = answer.rulings.items()
    yield "rulings", {name: [one.extracted, one.correct, one.rule, one.decided_by] for name, one in rulings}
