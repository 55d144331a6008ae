"""A checkpoint is whole or it is not there."""

from __future__ import annotations

import hashlib
import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "weights missing": lambda folder: (folder / "weights.safetensors").unlink(),
    "weights cut short": lambda folder: cut_short(folder / "weights.safetensors"),
    "state cut short": lambda folder: cut_short(folder / "state.pt"),
    "state empty": lambda folder: (folder / "state.pt").write_bytes(b""),
    "listing missing": lambda folder: (folder / "whole.json").unlink(),
    "listing cut short": lambda folder: cut_short(folder / "whole.json"),
    "listing empty": lambda folder: (folder / "whole.json").write_text("{}"),
    "listing of something else": lambda folder: (folder / "whole.json").write_text("[]"),
    "nothing in it": lambda folder: [path.unlink() for path in folder.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_incomplete_checkpoint_is_passed_over_and_goes_with_the_next_save(tmp_path: Path, damage: str) -> None:
    checkpoints = Checkpoints(tmp_path, {}, keep=1)
    checkpoints.save(2, a_state(position=9))
    (tmp_path / "step-000002").rename(tmp_path / "aside")
    checkpoints.save(1, a_state(position=4))
    (tmp_path / "aside").rename(tmp_path / "step-000002")
    DAMAGES[damage](tmp_path / "step-000002")
    state = a_state(seed=1)
    assert checkpoints.restore(state) == 1
    assert state.stream.position == 4
    checkpoints.save(1, state)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"], "a broken one took the place of a whole one"


def rewritten(folder: Path, **changes: Any) -> None:
    """Change a checkpoint's header and list its new size, as another program might have written it."""
    saved = torch.load(folder / "state.pt", weights_only=True) | changes
    torch.save({name: value for name, value in saved.items() if value is not ...}, folder / "state.pt")
    files = {name: (folder / name).read_bytes() for name in ("state.pt", "weights.safetensors")}
    listing = {name: {"bytes": len(held), "sha256": hashlib.sha256(held).hexdigest()} for name, held in files.items()}
    (folder / "whole.json").write_text(json.dumps(listing))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": ...}, "a checkpoint of format none, and this program reads 2; empty the folder"),
        ({"format": 1}, "a checkpoint of format 1, and this program reads 2; empty the folder"),
        ({"run": {"seed": 1, "beta": 0.0}}, r"a checkpoint of another run \(beta, seed differ\); empty the folder"),
        ({"step": 7}, "step-000002: holds step 7"),
        ({"optimizer": {"state": {}, "param_groups": []}}, "holds the optimiser of another model"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_and_nothing_of_it_is_loaded(tmp_path: Path, changes: Any, said: str) -> None:
    checkpoints = Checkpoints(tmp_path, {"seed": 0})
    rewritten(checkpoints.save(2, a_state()), **changes)
    state, before = a_state(seed=1), a_state(seed=1)
    with pytest.raises(ValueError, match=said):
        checkpoints.restore(state)
    assert torch.equal(state.model.weight, before.model.weight)
    assert state.optimizer.state_dict()["state"].keys() == before.optimizer.state_dict()["state"].keys()
    assert state.stream.position == 0


@pytest.mark.parametrize("name", ["state.pt", "weights.safetensors"])
@pytest.mark.parametrize("place", [0.01, 0.5, 0.99, 1.0])
def test_other_bytes_of_the_same_size_are_refused(tmp_path: Path, name: str, place: float) -> None:
    """One byte among the weights, where nothing but a digest tells; at 1.0 none of the file is left."""
    checkpoints = Checkpoints(tmp_path, {})
    path = checkpoints.save(2, a_state()) / name
    held = bytearray(path.read_bytes())
    if place == 1.0:
        held[:] = bytes(len(held))
    else:
        held[int(place * len(held))] ^= 255
    path.write_bytes(held)
    for read in (lambda: checkpoints.restore(a_state()), lambda: checkpoints.load_weights(2, a_state().model)):
        with pytest.raises(ValueError, match=rf"step-000002: is damaged \({name} .*\); delete it to go on from the checkpoint before"):
            read()


def test_a_checkpoint_of_the_format_before_is_refused_and_not_passed_over(tmp_path: Path) -> None:
    """Its listing had sizes alone; to start anew in silence would throw the run away."""
    checkpoints = Checkpoints(tmp_path, {})
    folder = checkpoints.save(2, a_state())
    rewritten(folder, format=1)
    (folder / "whole.json").write_text(json.dumps({name: (folder / name).stat().st_size for name in ("state.pt", "weights.safetensors")}))
    with pytest.raises(ValueError, match="a checkpoint of format 1, and this program reads 2; empty the folder"):
        checkpoints.restore(a_state())


def test_a_file_with_the_name_of_a_checkpoint_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "step-000099").write_text("a note")
    checkpoints = Checkpoints(tmp_path, {}, keep=1)
    checkpoints.save(1, a_state())
    checkpoints.save(2, a_state())
    assert checkpoints.restore(a_state()) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000002", "step-000099"]


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
    # the second would take the weights by broadcasting, the third by rounding
    for other in (torch.nn.Sequential(torch.nn.Linear(3, 3)), Wider(), torch.nn.Linear(40, 30, dtype=torch.bfloat16)):
        before = [parameter.clone() for parameter in other.parameters()]
        with pytest.raises(ValueError, match="another model"):
            checkpoints.restore(State(other, torch.optim.AdamW(other.parameters()), Stream(5, 0)))
        assert all(map(torch.equal, before, other.parameters()))


class Wider(torch.nn.Module):
    """Parameters named as a_state's are."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2, 30, 40))
        self.bias = torch.nn.Parameter(torch.zeros(30))


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


def test_reports_that_lack_a_step_are_refused(tmp_path: Path) -> None:
    for step in (1, 3):
        append_report(tmp_path, Report(step, 3, {}))
    before = (tmp_path / "reports.jsonl").read_bytes()
    with pytest.raises(ValueError, match="holds the reports of 2 steps, but the checkpoint is of step 3; empty the folder"):
        cut_reports(tmp_path, 3)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]
    for damage in (b"\0\0\0\n", b"\xff\xfe\n"):
        (tmp_path / "reports.jsonl").write_bytes(before + damage)
        with pytest.raises(ValueError, match=r"reports\.jsonl: a line that is no report"):
            cut_reports(tmp_path, 3)
