"""A stage over many records says how far it is, by the clock and not by the count, and how fast it goes."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from r1vl_core.config import Runtime, parse_preset
from r1vl_core.records import Rejected
from tasks import key_steps
from tasks.curate import Tally
from tasks.registry import STAGES
from tasks.stages import StageEvent, bring_up_to_date
from tasks.store import Store
from tests.core.data.samples import question


def test_curation_tells_its_records_and_their_rate_every_ten_seconds_however_many_there_are() -> None:
    lines: list[str] = []
    seconds = count(start=0.0, step=0.004)
    tally = Tally(lines.append, [], clock=lambda: next(seconds))
    outcomes = (question(number) if number % 2 else Rejected("web", number, "no_answer", "", "{}") for number in range(1, 20_001))
    assert sum(1 for _ in tally.counted(outcomes)) == tally.num_read == 20_000
    assert [line.split(" · ")[1] for line in lines] == ["250 a second"] * 7
    assert lines[-1].startswith("17,504 records read")


def test_key_steps_by_rules_tell_each_shard(tmp_path: Path) -> None:
    preset = parse_preset({"name": "small", "world": {"num_questions": 24, "num_heldout": 4, "seed": 5}}, "test")
    steps: list[tuple[int, int]] = []

    def note(event: StageEvent) -> None:
        if event.stage == "key_steps" and event.report is not None:
            steps.append((event.report.step, event.report.num_steps))

    runtime = Runtime(num_workers=1, device="cpu", root=tmp_path)
    result = bring_up_to_date("key_steps", STAGES, preset, runtime, Store(tmp_path), on_event=note)["key_steps"]
    total = result.artifact.notes["metrics"]["num_questions"]
    assert steps == [(total, total)]
    assert total < key_steps.SHARD
