"""One small pipeline that several files of tests look at: the first test process trains it, the store hands it to the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from r1vl_core.config import Runtime
from tasks.store import Store

SMALL = {
    "name": "small",
    "prompt": "plain",
    "max_pixels": 200704,
    "world": {"num_questions": 48, "num_heldout": 12, "seed": 5},
    "warmup": {"num_epochs": 6.0, "batch_size": 6, "learning_rate": 3e-3, "save_every": 10},
    "stepgrpo": {"num_steps": 4, "questions_per_step": 4, "group_size": 4, "temperature": 0.9, "max_new_tokens": 100, "save_every": 1},
    "evaluate": {"max_new_tokens": 100},
    "report": {"num_groups": 4, "num_responses": 6},
}
"""A warm-up after which some answers are right, and most are not."""

RUNTIME = Runtime(num_workers=1, device="cpu")


def shared_store(factory: pytest.TempPathFactory) -> Store:
    """The store that all test processes of one run of pytest share."""
    base = factory.getbasetemp()
    return Store((base.parent if "popen-" in base.name else base) / "small-pipeline")


def copied(store: Store, root: Path) -> Store:
    """Another store with what this one holds whole; what others build in it meanwhile stays out."""
    (root / "keys").mkdir(parents=True)
    for key in store.all_keys():  # keys first: each points at an object that is there already
        shutil.copy2(store.root / "keys" / f"{key}.json", root / "keys")
    shutil.copytree(store.root / "objects", root / "objects", ignore=shutil.ignore_patterns(".building-*", ".broken-*"))
    return Store(root)
