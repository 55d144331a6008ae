"""Every path that StepGRPO sampled, in Parquet: one row a path, in the order of the steps.

While a run trains, its rollouts stand in its record of JSON lines, which can be cut back to a checkpoint. When it is over they are turned
into part files, each of whole steps, so that neither writing nor reading ever holds more than a part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars

FOLDER = "rollouts"
"""Name of the folder of part files within an artifact."""

PART_ROWS = 4096
"""A part is closed after the step with which it has at least this many rows."""

_TEXT, _NUMBER, _COUNT = polars.String(), polars.Float64(), polars.Int32()
_MARK = polars.Struct({"key_step": _COUNT, "start": _COUNT, "end": _COUNT, "form": _TEXT})
COLUMNS: dict[str, polars.DataType] = {
    "step": _COUNT,
    "place": _COUNT,
    "path": _COUNT,
    "question_id": _TEXT,
    "text": _TEXT,
    "token_ids": polars.List(_COUNT),
    "num_tokens": _COUNT,
    "truncated": polars.Boolean(),
    "step_rar": _NUMBER,
    "step_rvr": _NUMBER,
    "paid": _NUMBER,
    "k": _NUMBER,
    "verdict": _TEXT,
    "rule": _TEXT,
    "answer": _TEXT,
    "marks": polars.List(_MARK),
    "missed": polars.List(_COUNT),
    "defects": polars.List(_TEXT),
    "advantage": _NUMBER,
    "step_advantages": polars.List(_NUMBER),
}
"""`step` counts from 1, `place` is the group's within its step and `path` the path's within its group, both from 0. `paid` is what the
preset pays; `k` the share of key steps found, each in `marks` with the characters of `text` it was found in, the others in `missed`."""


def write_rollouts(folder: Path, steps: Iterable[Sequence[Mapping[str, Any]]]) -> dict[str, str]:
    """Write the rows of each step into part files under `folder`; a digest of the rows of each part, by the file's name.

    Equal rows come to equal bytes under one version of polars; the digests are equal under any. Raises ValueError for a row that
    lacks a column or has one too many.
    """
    folder.mkdir()
    digests: dict[str, str] = {}
    rows: list[Mapping[str, Any]] = []
    for step in steps:
        rows += step
        if len(rows) >= PART_ROWS:
            digests |= _write_part(folder, len(digests), rows)
            rows = []
    return digests | (_write_part(folder, len(digests), rows) if rows or not digests else {})


def rollout_keys(folder: Path) -> list[tuple[int, int]]:
    """(step, place) of every group, in order. Raises ValueError when the folder holds no rollouts."""
    found = _scan(folder).select("step", "place").unique().sort("step", "place").collect()
    return list(found.iter_rows())


def read_groups(folder: Path, keys: Collection[tuple[int, int]]) -> dict[tuple[int, int], list[dict[str, Any]]]:
    """The rows of the groups with these (step, place), in order. Raises ValueError when the folder holds no rollouts."""
    wanted = polars.LazyFrame(list(keys), schema={name: COLUMNS[name] for name in ("step", "place")}, orient="row")
    found = _scan(folder).join(wanted, on=["step", "place"], how="semi").sort("step", "place", "path").collect()
    groups: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in found.iter_rows(named=True):
        groups.setdefault((row["step"], row["place"]), []).append(row)
    return groups


def sampled_paths(folder: Path) -> Iterator[tuple[str, str]]:
    """(question id, text) of every path, in order, part by part. Raises ValueError when the folder holds no rollouts."""
    for part in _parts(folder):
        try:
            yield from polars.read_parquet(part, columns=["question_id", "text"]).iter_rows()
        except (polars.exceptions.PolarsError, OSError) as error:
            raise ValueError(f"{part}: not the rollouts of a StepGRPO run ({error}); run the stage again") from None


def _write_part(folder: Path, number: int, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    for row in rows:
        if row.keys() != COLUMNS.keys():
            raise ValueError(f"step {row.get('step')}: a rollout has {sorted(row)}, not the columns {sorted(COLUMNS)}; train anew")
    name = f"part-{number:04}.parquet"
    polars.DataFrame(list(rows), schema=COLUMNS, orient="row").write_parquet(folder / name, compression="zstd", statistics=True)
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True).encode())
    return {name: digest.hexdigest()}


def _parts(folder: Path) -> list[Path]:
    parts = sorted(folder.glob("part-*.parquet"))
    if not parts:
        raise ValueError(f"{folder}: no rollouts of a StepGRPO run; run the stage again")
    return parts


def _scan(folder: Path) -> polars.LazyFrame:
    return polars.scan_parquet(_parts(folder))
