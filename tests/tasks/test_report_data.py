"""What the report says of the data is what the stages' databases hold."""

from __future__ import annotations

from pathlib import Path

from r1vl_core.config import Runtime, parse_preset
from r1vl_core.reporting.data import KeyStepsRow
from tasks.registry import STAGES
from tasks.report import curation_of
from tasks.stages import bring_up_to_date
from tasks.store import Store


def test_records_are_told_by_source_with_its_licence_and_none_is_left_out(tmp_path: Path) -> None:
    plain = {"name": "small", "world": {"num_questions": 40, "num_heldout": 4, "seed": 5}, "curate": {"eval_questions": 3}}
    results = bring_up_to_date(
        "key_steps", STAGES, parse_preset(plain, "test"), Runtime(num_workers=1, device="cpu", root=tmp_path), Store(tmp_path)
    )
    found = curation_of({name: result.artifact for name, result in results.items()})
    told = results["curate"].artifact.notes["metrics"]
    (source,) = found.sources
    assert (source.name, source.weight) == ("handwriting", 1.0)
    assert "CC BY 4.0" in source.licence
    assert source.num_records == found.num_records == told["num_records"]
    assert source.num_accepted == found.num_accepted == told["num_questions"] + found.num_set_aside
    assert found.num_set_aside == 3
    numbers = [reject.num_records for reject in found.rejects]
    assert numbers == sorted(numbers, reverse=True)
    assert sum(numbers) == source.num_rejected == told["num_rejected"]
    made = results["key_steps"].artifact.notes["metrics"]
    assert found.key_steps == KeyStepsRow(made["num_questions"], made["mean_key_steps"], made["num_without_key_steps"])
