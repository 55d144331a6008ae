"""Rollouts in Parquet: nothing lost, equal bytes for equal rows, never more than a part at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars
import pytest

from r1vl_core.data import rollouts
from r1vl_core.data.rollouts import COLUMNS, read_groups, rollout_keys, sampled_paths, write_rollouts


def rollout(step: int, place: int, path: int) -> dict[str, Any]:
    """A row with something in every column, empty lists and no answer among them."""
    return {
        "step": step,
        "place": place,
        "path": path,
        "question_id": f"q{place % 2}",
        "text": f"step {step}, é\n\u2028 {place} {path}",
        "token_ids": [step, place, 151_643],
        "num_tokens": 3,
        "truncated": path == 1,
        "step_rar": 1.1 if path else 0.1,
        "step_rvr": 1.0,
        "paid": 2.1,
        "k": 1 / 3,
        "verdict": "correct",
        "rule": "number",
        "answer": None if path else "3",
        "marks": [{"key_step": 0, "start": 2, "end": 5, "form": "1 + 2"}] if path else [],
        "missed": [] if path else [0],
        "defects": ["no_steps"] if place else [],
        "advantage": -0.1 * path,
        "step_advantages": [0.5, -0.25][:path],
    }


def run_of(num_steps: int, num_places: int = 3) -> list[list[dict[str, Any]]]:
    return [[rollout(step, place, path) for place in range(num_places) for path in range(2)] for step in range(1, num_steps + 1)]


def test_every_row_comes_back_as_it_was(tmp_path: Path) -> None:
    steps = run_of(3)
    write_rollouts(tmp_path / "r", steps)
    keys = rollout_keys(tmp_path / "r")
    assert keys == [(step, place) for step in (1, 2, 3) for place in range(3)]
    groups = read_groups(tmp_path / "r", keys)
    assert list(groups) == keys
    assert [row for group in groups.values() for row in group] == [row for step in steps for row in step]
    assert list(read_groups(tmp_path / "r", [(2, 1)])) == [(2, 1)]
    assert list(sampled_paths(tmp_path / "r")) == [(row["question_id"], row["text"]) for step in steps for row in step]


def test_parts_hold_whole_steps_and_the_same_rows_make_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "PART_ROWS", 10)
    digests = [write_rollouts(tmp_path / name, run_of(5)) for name in ("one", "two")]
    parts = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert digests[0] == digests[1]
    assert parts[0] == parts[1]
    assert sorted(parts[0]) == sorted(digests[0]) == ["part-0000.parquet", "part-0001.parquet", "part-0002.parquet"]
    assert [polars.read_parquet(tmp_path / "one" / name)["step"].unique().to_list() for name in sorted(digests[0])] == [[1, 2], [3, 4], [5]]
    changed = run_of(5)
    changed[4][0]["advantage"] = 1e-9
    other = write_rollouts(tmp_path / "other", changed)
    assert [name for name in other if other[name] != digests[0][name]] == ["part-0002.parquet"]


def test_no_more_than_a_part_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "PART_ROWS", 10)
    written: list[int] = []

    def steps() -> Iterator[list[dict[str, Any]]]:
        for step in run_of(6):
            yield step
            written.append(len(list((tmp_path / "r").iterdir())))

    write_rollouts(tmp_path / "r", steps())
    assert written == [0, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("change", [{"colour": "red"}, {"k": ...}])
def test_a_row_with_other_columns_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    row = {name: value for name, value in (rollout(1, 0, 0) | change).items() if value is not ...}
    with pytest.raises(ValueError, match=r"step 1: a rollout has .* not the columns"):
        write_rollouts(tmp_path / "r", [[row]])


def test_a_folder_without_rollouts_and_a_broken_part_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no rollouts of a StepGRPO run; run the stage again"):
        rollout_keys(tmp_path)
    (tmp_path / "part-0000.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"part-0000\.parquet: not the rollouts"):
        list(sampled_paths(tmp_path))


def test_a_run_without_rollouts_has_the_columns_all_the_same(tmp_path: Path) -> None:
    write_rollouts(tmp_path / "r", [])
    assert polars.read_parquet(tmp_path / "r" / "part-0000.parquet").schema == polars.Schema(COLUMNS)
