"""The public toolkit's TSV: rows with their picture as base64, read as a stream and written back.

Tab-separated, UTF-8, one header line. `image` holds one base64 picture, or a cell of at most 64 characters that is the `index` of
another row whose own cell holds it, or a list of base64 pictures. Cell texts such as "None" or "NA" are text here, never missing.
"""

from __future__ import annotations

import ast
import base64
import binascii
import csv
import string
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from r1vl_core.evaluation.benchmarks.spreadsheet import MISSING
from r1vl_core.reasoning.answers import check_gold
from r1vl_core.records import BenchmarkRow

LONGEST_REFERENCE = 64
"""Characters; a longer image cell holds a picture, a shorter one the index of another row."""

COLUMNS = ("index", "question", "image", "answer", "category")
"""Columns that `write_tsv` writes before the choices; `category` may be missing in a file that is read."""

_LONGEST_CELL = 2**31 - 1


@dataclass(slots=True)
class _References:
    """What one pass over a file learns about image cells that point to other rows."""

    last_use: dict[str, int] = field(default_factory=dict)
    forward: set[str] = field(default_factory=set)
    indices: set[str] = field(default_factory=set)


def read_tsv(path: Path) -> Iterator[BenchmarkRow]:
    """Yield the rows of a benchmark file in file order, one at a time; a row without picture is dropped, as the toolkit does.

    Memory: one row, plus the pictures that rows further down still refer to. Choices are the non-empty cells of the columns A, B, C ….
    Raises ValueError naming the file, the row (1 is the first below the header) and the column of what is malformed.
    """
    for number, cells in enumerate(read_cells(path, ("index", "image", "question", "answer")), start=1):
        if cells["image"] in MISSING:
            continue
        where = f"{path}: row {number} (index {cells['index']!r})"
        choices = tuple((letter, cells[letter]) for letter in string.ascii_uppercase if cells.get(letter))
        yield BenchmarkRow(
            index=cells["index"],
            question=cells["question"],
            choices=choices,
            answer=_answer(cells["answer"], choices, where),
            category=cells.get("category", ""),
            image=_picture(cells["image"], where),
        )


def read_unseen(path: Path) -> Iterator[BenchmarkRow]:
    """Yield what a benchmark file asks, a row for each of its pictures, without choices, answer and category: enough to keep it out of
    training data, also where the answers are hidden or in columns of the benchmark's own.

    Memory and errors: as `read_tsv`.
    """
    for number, cells in enumerate(read_cells(path, ("index", "image", "question")), start=1):
        if cells["image"] not in MISSING:
            for picture in _pictures(cells["image"], f"{path}: row {number} (index {cells['index']!r})"):
                yield BenchmarkRow(cells["index"], cells["question"], (), "", "", picture)


def read_cells(path: Path, required: Sequence[str] = ("index", "image")) -> Iterator[dict[str, str]]:
    """Yield every row as its cells by column name, image references resolved to the base64 text (or list) they point to.

    The layer below `read_tsv`, for benchmarks with columns of their own. Raises ValueError as `read_tsv` does.
    """
    references = _find_references(path, required)
    pictures = _read_pictures(path, references.forward)
    for number, cells in enumerate(_rows(path, required), start=1):
        index, image = cells["index"], cells["image"]
        if _is_reference(image):
            if image not in pictures:
                raise _dangling(path, number, index, image, references.indices)
            cells["image"] = pictures[image]
            if references.last_use[image] == number and image not in references.forward:
                del pictures[image]
        elif len(image) > LONGEST_REFERENCE and references.last_use.get(index, 0) > number:
            pictures[index] = image
        yield cells


def read_texts(path: Path, required: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield every row's cells in file order, in one pass that holds no picture: an image cell is cut to 64 characters.

    For scoring: pictures are not decoded, but a reference to a row that holds none is an error, raised after the last row. A file that
    has only `image_path` is fine. Raises ValueError naming the file, the row and the column of what is malformed.
    """
    seen: dict[str, int] = {}
    held: set[str] = set()
    references: list[tuple[int, str, str]] = []
    for number, cells in enumerate(_rows(path, ("index", *required), one_of=("image", "image_path")), start=1):
        index, image = cells["index"], cells.get("image", "")
        if not index:
            raise ValueError(f"{path}: row {number}, column 'index': empty; every row needs one")
        if index in seen:
            raise ValueError(f"{path}: row {number}, column 'index': {index!r:.80} is also the index of row {seen[index]}")
        seen[index] = number
        if len(image) > LONGEST_REFERENCE:
            held.add(index)
            cells["image"] = image[:LONGEST_REFERENCE]
        elif _is_reference(image):
            references.append((number, index, image))
        yield cells
    for number, index, image in references:
        if image not in held:
            raise _dangling(path, number, index, image, seen)


def read_pictures(path: Path, wanted: Collection[str]) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    """Yield the index and the encoded pictures of each row whose index is `wanted`, in file order.

    Memory: one row, plus the pictures that rows further down still refer to. Raises ValueError as `read_tsv` does.
    """
    left = len(set(wanted))
    for number, cells in enumerate(read_cells(path), start=1):
        if not left:
            return  # what stands below has been looked through already
        if cells["index"] in wanted:
            left -= 1
            yield cells["index"], _pictures(cells["image"], f"{path}: row {number} (index {cells['index']!r})")


def write_tsv(path: Path, rows: Iterable[BenchmarkRow], choice_letters: Sequence[str] = "ABCD") -> int:
    """Write rows in the toolkit's form, every cell quoted, and return their number; a free-form row's choice cells are empty.

    Raises ValueError for a row the form cannot hold: a doubled index, a choice of another letter, an empty choice or picture.
    """
    seen: set[str] = set()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow([*COLUMNS, *choice_letters])
        for row in rows:
            _check_writable(path, row, choice_letters, seen)
            seen.add(row.index)
            choices = dict(row.choices)
            image = base64.b64encode(row.image).decode("ascii")
            cells = [row.index, row.question, image, row.answer, row.category]
            writer.writerow([*cells, *(choices.get(letter, "") for letter in choice_letters)])
    return len(seen)


def _rows(path: Path, required: Sequence[str], one_of: Sequence[str] = ()) -> Iterator[dict[str, str]]:
    csv.field_size_limit(_LONGEST_CELL)
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter="\t", strict=True)
            header = _checked_header(path, next(lines, []), required, one_of)
            for cells in lines:
                if not cells:
                    continue
                number += 1
                if len(cells) != len(header):
                    short = f", column {header[len(cells)]!r} is missing" if len(cells) < len(header) else ""
                    counts = f"{len(cells)} cells under {len(header)} columns"
                    raise ValueError(f"{path}: row {number}: {counts}{short}; quote cells that hold tabs")
                yield dict(zip(header, cells, strict=True))
    except OSError as error:
        raise ValueError(f"benchmark file {path}: {error.strerror or error}; a readable TSV file is needed") from None
    except csv.Error as error:
        raise ValueError(
            f"{path}: row {number + 1}: not a quoted, tab-separated row: {error}; close its quotes, and double those within a cell"
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: row {number + 1} or later: not UTF-8: {error.reason}; save the file as UTF-8") from None


def _checked_header(path: Path, header: list[str], required: Sequence[str], one_of: Sequence[str]) -> list[str]:
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise ValueError(f"{path}: column {doubled[0]!r} occurs more than once")
    for name in required:
        if name not in header:
            found = ", ".join(header[:12]) or "an empty file"
            needed = ", ".join(required)
            raise ValueError(f"{path}: no column {name!r} in its header line; it needs {needed}, separated by tabs; found {found:.200}")
    if one_of and not set(one_of).intersection(header):
        raise ValueError(
            f"{path}: no column {' or '.join(map(repr, one_of))} in its header line; pictures are needed, or their files' names"
        )
    return header


def _dangling(path: Path, number: int, index: str, image: str, indices: Collection[str]) -> ValueError:
    """What to tell of a short image cell that leads to no picture: it may be a cut off or misspelt picture as well."""
    what = (
        f"refers to row {image!r}, which holds no picture" if image in indices else f"{image!r} is neither a picture nor the index of a row"
    )
    cure = "write a picture as base64, or the index of a row that holds one"
    return ValueError(f"{path}: row {number} (index {index!r:.80}), column 'image': {what}; {cure}")


def _is_reference(cell: str) -> bool:
    return 0 < len(cell) <= LONGEST_REFERENCE and not cell.startswith("[") and cell not in MISSING


def _find_references(path: Path, required: Sequence[str]) -> _References:
    found = _References()
    row_of: dict[str, int] = {}
    for number, cells in enumerate(_rows(path, required), start=1):
        index, image = cells["index"], cells["image"]
        if not index:
            raise ValueError(f"{path}: row {number}, column 'index': empty; every row needs one")
        if index in row_of:
            raise ValueError(f"{path}: row {number}, column 'index': {index!r} is also the index of row {row_of[index]}")
        row_of[index] = number
        if _is_reference(image):
            found.last_use[image] = number
            if image not in row_of:
                found.forward.add(image)
    found.indices.update(row_of)
    return found


def _read_pictures(path: Path, indices: set[str]) -> dict[str, str]:
    # Only files whose references point downwards pay for this pass and hold these pictures in memory.
    if not indices:
        return {}
    rows = _rows(path, ())
    return {cells["index"]: cells["image"] for cells in rows if cells["index"] in indices and len(cells["image"]) > LONGEST_REFERENCE}


def _answer(cell: str, choices: tuple[tuple[str, str], ...], where: str) -> str:
    """A gold answer that a response can meet: without it every response would be wrong, and nobody would learn why."""
    if not cell.strip():
        raise ValueError(f"{where}, column 'answer': empty; evaluation needs the right answer of every row")
    try:
        check_gold(cell, choices)
    except ValueError as error:
        raise ValueError(f"{where}, column 'answer': {error}") from None
    return cell


def _picture(cell: str, where: str) -> bytes:
    pictures = _pictures(cell, where)
    if len(pictures) != 1:
        raise ValueError(f"{where}, column 'image': a list of {len(pictures)} pictures; rows of one picture are supported here")
    return pictures[0]


def _pictures(cell: str, where: str) -> tuple[bytes, ...]:
    return tuple(_decoded(text, where) for text in (_listed(cell, where) if cell.startswith("[") else [cell]))


def _decoded(text: str, where: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{where}, column 'image': not base64: {error}") from None


def _listed(cell: str, where: str) -> list[str]:
    try:
        pictures = ast.literal_eval(cell)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"{where}, column 'image': starts like a list of pictures and is none") from None
    if not isinstance(pictures, list) or not pictures or not all(isinstance(text, str) and text for text in pictures):
        raise ValueError(f"{where}, column 'image': a list that does not hold base64 texts alone, one at least")
    return pictures


def _check_writable(path: Path, row: BenchmarkRow, choice_letters: Sequence[str], seen: set[str]) -> None:
    where = f"{path}: row {len(seen) + 1} (index {row.index!r})"
    if not row.index or row.index in seen:
        raise ValueError(f"{where}, column 'index': empty or used before; every row needs its own")
    for letter, text in row.choices:
        if letter not in choice_letters or not text:
            raise ValueError(f"{where}, column {letter!r}: a choice needs a text and one of the letters {', '.join(choice_letters)}")
    if len(base64.b64encode(row.image)) <= LONGEST_REFERENCE:
        raise ValueError(f"{where}, column 'image': {len(row.image)} bytes are no encoded picture")
    for column, text in zip(COLUMNS, (row.index, row.question, "", row.answer, row.category), strict=True):
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError(f"{where}, column {column!r}: holds half a surrogate pair, which UTF-8 cannot spell")
