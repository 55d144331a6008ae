"""A checkpoint is whole or it is not there."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from r1vl_core.report import Report
from r1vl_core.training.checkpoint import Checkpoints, State, append_report, cut_reports, read_reports
from r1vl_core.training.order import Stream


def a_state(seed: int = 0, position: int = 0) -> State:
    torch.manual_seed(seed)
    model = torch.nn.Linear(40, 30)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    model(torch.ones(40)).sum().backward()
    optimizer.step()
    return State(model, optimizer, Stream(5, 0, position))


@contextmanager
def room_for(num_bytes: int) -> Iterator[None]:
    """No file may grow beyond this: what a full disk looks like from here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_everything_comes_back(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, {"seed": 0})
    state, other = a_state(position=23), a_state(seed=1)
    checkpoints.save(7, state)
    drawn = torch.rand(3)
    assert checkpoints.restore(other) == 7
    assert torch.equal(state.model.weight, other.model.weight)
    assert other.stream.position == 23
    assert torch.equal(torch.rand(3), drawn)
    for (_, mine), (_, theirs) in zip(state.optimizer.state.items(), other.optimizer.state.items(), strict=True):
        assert all(torch.equal(mine[name], theirs[name]) for name in ("step", "exp_avg", "exp_avg_sq"))


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, {}, keep=2)
    for step in (1, 2, 3, 12):
        checkpoints.save(step, a_state())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000003", "step-000012"]


@pytest.mark.parametrize("damage", ["missing", "short", "unlisted"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, damage: str) -> None:
    checkpoints = Checkpoints(tmp_path, {})
    checkpoints.save(1, a_state())
    newest = checkpoints.save(2, a_state())
    if damage == "missing":
        (newest / "weights.safetensors").unlink()
    elif damage == "short":
        (newest / "state.pt").write_bytes((newest / "state.pt").read_bytes()[:-1])
    else:
        (newest / "whole.json").unlink()
    assert checkpoints.restore(a_state()) == 1


def test_a_full_disk_leaves_the_older_checkpoint_whole(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, {})
    checkpoints.save(1, a_state())
    with room_for(1000), pytest.raises(OSError, match=r"cannot write checkpoint .*step-000002: .*; make room"):
        checkpoints.save(2, a_state())
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
    assert checkpoints.restore(a_state()) == 1


def test_leftovers_of_a_killed_save_are_never_read_and_are_cleared(tmp_path: Path) -> None:
    (tmp_path / ".partial-000009").mkdir(parents=True)
    checkpoints = Checkpoints(tmp_path, {})
    assert checkpoints.restore(a_state()) == 0
    checkpoints.save(1, a_state())
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, {})
    checkpoints.save(1, a_state())
    other = torch.nn.Sequential(torch.nn.Linear(3, 3))
    with pytest.raises(ValueError, match="another model"):
        checkpoints.restore(State(other, torch.optim.AdamW(other.parameters()), Stream(5, 0)))


def test_reports_survive_a_crash_and_are_cut_to_the_checkpoint(tmp_path: Path) -> None:
    assert list(read_reports(tmp_path)) == []
    reports = [Report(step, 3, {"loss": 0.1 * step}, ({"text": "é\n"},)) for step in (1, 2, 3)]
    for report in reports:
        append_report(tmp_path, report)
    assert list(read_reports(tmp_path)) == reports
    with (tmp_path / "reports.jsonl").open("a") as file:
        file.write('{"step": 4, "num_st')
    assert list(read_reports(tmp_path)) == reports
    cut_reports(tmp_path, 2)
    append_report(tmp_path, reports[2])
    assert list(read_reports(tmp_path)) == reports
