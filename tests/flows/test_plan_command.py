"""`r1vl plan` says what became of the records, where that is known."""

from __future__ import annotations

from pathlib import Path

from flows.choosing import choose
from r1vl_core.config import Runtime
from tasks.registry import STAGES
from tasks.stages import bring_up_to_date
from tasks.store import Store
from tests.flows.command import r1vl


def curated(root: Path, name: str) -> str:
    preset = root / f"{name}.toml"
    preset.write_text(f"[world]\nnum_questions = {len(name)}\nnum_heldout = 2\n")
    bring_up_to_date("curate", STAGES, choose(str(preset)), Runtime(num_workers=1, device="cpu", root=root), Store(root))
    return str(preset)


def test_rejected_records_are_counted_by_reason_with_the_command_that_lists_them(tmp_path: Path) -> None:
    before = r1vl("plan", str(Path(curated(tmp_path, "first"))), "--until", "curate", "--set", "seed=1", root=tmp_path)
    assert before.returncode == 0, before.stderr
    told = [line for line in before.stdout.splitlines() if "records are left out" in line]
    listed = 'each with its reason: r1vl sql --artifact curate "SELECT source, row, reason, detail FROM rejected"'
    assert len(told) == 1
    assert told[0].endswith(listed)
    rows = r1vl(
        "sql", "--artifact", "curate", "--csv", "SELECT reason, count(*) FROM rejected GROUP BY ALL", root=tmp_path
    ).stdout.splitlines()[1:]
    assert all(f"{row.replace(',', ' ')}" in told[0] for row in rows)
    assert told[0].startswith(f"{sum(int(row.split(',')[1]) for row in rows)} of ")
    curated(tmp_path, "another")
    (again,) = [
        line for line in r1vl("plan", str(tmp_path / "first.toml"), root=tmp_path).stdout.splitlines() if "records are left out" in line
    ]
    assert again == told[0].removesuffix(f"; {listed}")  # that command would list another preset's
