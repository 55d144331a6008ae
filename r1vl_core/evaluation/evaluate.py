"""Answers of a policy to benchmark rows: batched greedy decoding, scored, stored, summed up."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

import polars
from PIL import Image, UnidentifiedImageError

from r1vl_core.evaluation.answering import Answered, Asked, answer
from r1vl_core.evaluation.decoding import Decoding
from r1vl_core.evaluation.statistics import PairedComparison, compare_paired, wilson_interval
from r1vl_core.policy.model import Policy
from r1vl_core.reasoning import paths
from r1vl_core.records import BenchmarkRow, ScoredResponse

MAX_IMAGE_PIXELS = 50_000_000
"""Pixels; a larger picture is refused before it is decoded (decompression bombs)."""


class Judge(Protocol):
    """Scores one response to one row; see `benchmarks.handwriting.judge`."""

    def __call__(self, response: str, row: BenchmarkRow, *, num_tokens: int = 0, truncated: bool = False) -> ScoredResponse: ...


def evaluate(
    policy: Policy,
    rows: Iterable[BenchmarkRow],
    *,
    prompt_text: Callable[[BenchmarkRow], str],
    judge: Judge,
    max_new_tokens: int,
    token_budget: int = 16_384,
    decode: Callable[[BenchmarkRow], Image.Image] | None = None,
) -> Iterator[tuple[ScoredResponse, ...]]:
    """Answer every row greedily and yield the scored responses a batch at a time, the shortest prompts of a window first.

    A batch holds as many rows as fit `token_budget` with their prompt and `max_new_tokens` (one at least). What a row's response is
    depends on no other row; neither does the order of the responses depend on the budget. When memory
    runs out fewer rows are answered at once. Raises ValueError naming a row whose picture
    cannot be decoded. `decode` opens a row's picture (`decode_image` unless given): training and evaluation should open pictures alike.
    """
    open_picture = decode or decode_image
    row_of: dict[str, BenchmarkRow] = {}

    def asked() -> Iterator[Asked]:
        for row in rows:
            row_of[row.index] = row
            yield Asked(row.index, prompt_text(row), (row.image,))

    batches = answer(
        policy,
        asked(),
        Decoding(max_new_tokens),
        decode=lambda question: [open_picture(row_of[question.key])],
        token_budget=token_budget,
        longest="evaluate.max_new_tokens",
    )
    for batch in batches:
        yield tuple(_score(row_of.pop(one.key), one, judge) for one in batch)


def decode_image(row: BenchmarkRow) -> Image.Image:
    """The row's picture as RGB. Raises ValueError naming the row when it is no picture, is cut off or is too large."""
    where = f"row {row.index!r}, column 'image'"
    try:
        with Image.open(io.BytesIO(row.image), formats=("PNG", "JPEG", "WEBP", "GIF", "BMP")) as image:
            width, height = image.size
            if width * height > MAX_IMAGE_PIXELS:
                raise ValueError(f"{where}: {width} x {height} pixels; the limit is {MAX_IMAGE_PIXELS}")
            return image.convert("RGB")
    except UnidentifiedImageError:
        raise ValueError(f"{where}: neither PNG, JPEG, WEBP, GIF nor BMP") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        # Pillow reports a broken PNG chunk as SyntaxError.
        raise ValueError(f"{where}: broken picture: {error}") from None


def summary(
    rows: Sequence[ScoredResponse], step_rar: Mapping[str, float] | None = None, step_rvr: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Accuracy with its 95 % Wilson interval, over all rows and per family, with what else says how the answers look.

    Keys: accuracy, num_correct, num_questions, interval [low, high], families {name: the same four}, mean_step_rar (None without
    `step_rar`, which gives each row's by index: it takes key steps, which a benchmark file need not have), mean_step_rvr (the paper's
    without `step_rvr`), mean_num_tokens, share_truncated, verdicts {verdict: number of rows}. Shares are fractions. Raises ValueError
    when there is no row.
    """
    if not rows:
        raise ValueError("no responses to sum up; the benchmark file holds no row with a picture")
    families = sorted({row.category for row in rows})
    verdicts = Counter(row.verdict for row in rows)
    return {
        **_accuracy(rows),
        "families": {family: _accuracy([row for row in rows if row.category == family]) for family in families},
        "mean_step_rar": fmean(step_rar[row.index] for row in rows) if step_rar else None,
        "mean_step_rvr": fmean(step_rvr[row.index] if step_rvr else paths.parse(row.response).is_valid for row in rows),
        "mean_num_tokens": fmean(row.num_tokens for row in rows),
        "share_truncated": fmean(row.truncated for row in rows),
        "verdicts": dict(sorted(verdicts.items())),
    }


def compare(first: Sequence[ScoredResponse], second: Sequence[ScoredResponse]) -> PairedComparison:
    """The second policy against the first on the rows both answered. Raises ValueError when there are none."""
    return compare_paired({row.index: is_right(row) for row in first}, {row.index: is_right(row) for row in second})


def is_right(row: ScoredResponse) -> bool:
    """Whether the verdict counts as a hit: only `correct` does; absent, timeout and error do not."""
    return row.verdict == "correct"


def write_responses(path: Path, rows: Sequence[ScoredResponse]) -> None:
    """Write scored responses to a Parquet file, one column a field, in the order given."""
    names = [field.name for field in fields(ScoredResponse)]
    table = {name: [_storable(getattr(row, name)) for row in rows] for name in names}
    polars.DataFrame(table, schema=_SCHEMA).write_parquet(path)


def read_responses(path: Path) -> tuple[ScoredResponse, ...]:
    """Read what `write_responses` wrote. Raises ValueError when the file is missing or no such table."""
    try:
        table = polars.read_parquet(path)
    except FileNotFoundError:
        raise ValueError(f"responses {path}: no such file") from None
    except polars.exceptions.ComputeError as error:
        raise ValueError(f"responses {path}: not a Parquet file: {error}") from None
    if set(table.columns) != set(_SCHEMA):
        raise ValueError(f"responses {path}: columns {', '.join(table.columns)}; expected {', '.join(_SCHEMA)}")
    return tuple(ScoredResponse(**row) for row in table.iter_rows(named=True))


_SCHEMA: dict[str, Any] = {
    "index": polars.String,
    "category": polars.String,
    "response": polars.String,
    "extracted": polars.String,
    "answer": polars.String,
    "verdict": polars.String,
    "rule": polars.String,
    "num_tokens": polars.Int64,
    "truncated": polars.Boolean,
}


def _score(row: BenchmarkRow, answered: Answered, judge: Judge) -> ScoredResponse:
    return judge(answered.responses[0], row, num_tokens=answered.nums_tokens[0], truncated=answered.truncated[0])


def _accuracy(rows: Sequence[ScoredResponse]) -> dict[str, Any]:
    num_correct = sum(map(is_right, rows))
    return {
        "accuracy": num_correct / len(rows),
        "num_correct": num_correct,
        "num_questions": len(rows),
        "interval": list(wilson_interval(num_correct, len(rows))),
    }


def _storable(value: Any) -> Any:
    # Half a surrogate pair has no UTF-8 spelling; a response holding one is kept with a question mark in its place.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
