"""Several processes bring stages of one root up to date at once: every artifact is whole and what it is when made alone."""

from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from r1vl_core.config import Runtime, parse_preset
from r1vl_core.data import database
from r1vl_core.data.sql import querying
from tasks import curate
from tasks.mending import audit
from tasks.registry import STAGES
from tasks.stages import bring_up_to_date
from tasks.store import Store

RUNTIME = Runtime(num_workers=1, device="cpu")

# The first two differ from curation on, the third in key steps alone, the fourth asks for the very same as the first.
WANTED: tuple[dict[str, Any], ...] = (
    {},
    {"curate": {"min_image_side": 30}},
    {"key_steps": {"max_key_steps": 2}},
    {},
)


def build(root: Path, dials: dict[str, Any]) -> dict[str, str]:
    preset = parse_preset({"name": "small", "world": {"num_questions": 24, "num_heldout": 4, "seed": 5}, **dials}, "test")
    results = bring_up_to_date("key_steps", STAGES, preset, RUNTIME, Store(root))
    return {name: result.digest for name, result in results.items()}


def build_at_once(root: Path, number: int, start: Barrier, found: Any) -> None:
    start.wait(120)
    found[number] = build(root, WANTED[number])


@pytest.mark.timeout(300)
def test_stages_built_at_once_are_those_built_alone(tmp_path: Path) -> None:
    alone = [build(tmp_path / "alone", dials) for dials in WANTED]
    context = multiprocessing.get_context("spawn")
    root, start = tmp_path / "together", context.Barrier(len(WANTED))
    with context.Manager() as manager:
        found = manager.dict()
        builders = [context.Process(target=build_at_once, args=(root, number, start, found)) for number in range(len(WANTED))]
        for builder in builders:
            builder.start()
        for builder in builders:
            builder.join()
        assert [builder.exitcode for builder in builders] == [0] * len(WANTED)
        assert [found[number] for number in range(len(WANTED))] == alone
    assert audit(Store(root)) == []


def test_a_database_is_read_while_another_is_made(tmp_path: Path) -> None:
    build(tmp_path, WANTED[0])
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    with context.Manager() as manager:
        found = manager.dict()
        builder = context.Process(target=build_at_once, args=(tmp_path, 1, start, found))
        builder.start()
        start.wait(120)
        num_reads = 0
        while builder.is_alive() or not num_reads:
            curated = Store(tmp_path).latest("curate")
            assert curated is not None
            counts = database.counts(curated.path / curate.DATABASE)
            assert counts.num_accepted > 0
            with querying(curated.path, "SELECT count(*) FROM questions") as answer:
                assert list(answer.rows) == [(counts.num_accepted,)]
            num_reads += 1
        builder.join()
    assert builder.exitcode == 0
