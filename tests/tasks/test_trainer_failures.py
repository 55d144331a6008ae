"""What people can cure is said in one line, without a traceback, when it goes wrong in the training process too."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from r1vl_core.config import Runtime, parse_preset
from tasks.launch import StageFailed
from tasks.registry import STAGES
from tasks.stages import StageEvent, bring_up_to_date
from tasks.store import Store

ONE = Runtime(num_workers=1, device="cpu")
PRESET = parse_preset(
    {
        "name": "small",
        "prompt": "plain",
        "max_pixels": 200704,
        "world": {"num_questions": 12, "num_heldout": 6, "seed": 5},
        "warmup": {"num_epochs": 1.0, "batch_size": 6, "save_every": 1},
    },
    "test",
)


def test_a_full_disk_ends_training_with_the_checkpoint_and_the_cure(tmp_path: Path) -> None:
    store, (soft, hard) = Store(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_up(event: StageEvent) -> None:
        """No file of the training process may grow beyond this from now on: what a full disk looks like from there."""
        if event.stage == "warmup" and event.kind == "building":
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))

    try:
        with pytest.raises(StageFailed, match=r"^warmup: cannot write checkpoint .*step-000001: .*; make room and run again") as told:
            bring_up_to_date("warmup", STAGES, PRESET, ONE, store, on_event=fill_up)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(told.value)
    assert bring_up_to_date("warmup", STAGES, PRESET, ONE, store)["warmup"].state == "built"
