"""`r1vl sql` without a stage asks the newest questions, with what curation left out beside what has key steps."""

from __future__ import annotations

from pathlib import Path

from flows.choosing import choose
from r1vl_core.config import Runtime
from tasks.registry import STAGES
from tasks.stages import bring_up_to_date
from tasks.store import Store
from tests.flows.command import r1vl

KEY_STEPS = "SELECT count(DISTINCT question_id) > 0 FROM key_steps"
TABLES = {"questions", "reasoning_paths", "key_steps", "sources", "rejected", "reject_reasons", "counts_by_source"}


def asked(root: Path, sql: str) -> list[str]:
    done = r1vl("sql", "--csv", sql, root=root)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[1:]


def make(root: Path, num_questions: int, until: str) -> None:
    preset = root / "small.toml"
    preset.write_text(f"[world]\nnum_questions = {num_questions}\nnum_heldout = 2\n")
    bring_up_to_date(until, STAGES, choose(str(preset)), Runtime(num_workers=1, device="cpu", root=root), Store(root))


def test_questions_are_asked_where_no_stage_is_named(tmp_path: Path) -> None:
    none = r1vl("sql", "FROM questions", root=tmp_path)
    assert none.returncode == 2
    assert none.stderr.strip().endswith("make some first: `r1vl run tiny --until key_steps`")
    make(tmp_path, 12, "curate")
    assert asked(tmp_path, KEY_STEPS) == ["False"]
    left_out = asked(tmp_path, "SELECT reason, num_rejected FROM reject_reasons ORDER BY ALL")
    assert left_out
    make(tmp_path, 12, "key_steps")
    assert asked(tmp_path, KEY_STEPS) == ["True"]
    assert asked(tmp_path, "SELECT reason, num_rejected FROM reject_reasons ORDER BY ALL") == left_out
    assert asked(tmp_path, "SELECT num_accepted + num_rejected = num_read FROM counts_by_source") == ["True"]
    listing = r1vl("sql", root=tmp_path).stdout
    assert {line.partition(",")[0] for line in listing.splitlines() if line.endswith(" rows")} >= {*TABLES, "set_aside"}
    make(tmp_path, 13, "curate")
    assert asked(tmp_path, "SELECT count(*) FROM questions") == asked(tmp_path, "SELECT num_accepted FROM counts_by_source")
    assert asked(tmp_path, KEY_STEPS) == ["False"], "the newest questions, which have none yet"


def test_a_table_of_another_stage_is_told_with_its_stage(tmp_path: Path) -> None:
    make(tmp_path, 12, "curate")
    told = r1vl("sql", "FROM rollouts", root=tmp_path)
    assert told.returncode == 2
    assert told.stderr.strip().endswith("(rollouts: --artifact stepgrpo)")
