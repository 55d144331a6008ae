"""SQL over an artifact's files reads them all and can do nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import polars
import pytest

from r1vl_core.data.database import write_key_steps
from r1vl_core.data.rollouts import write_rollouts
from r1vl_core.data.sql import list_tables, querying
from tests.core.data.samples import question
from tests.core.data.test_rollouts import run_of


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """An artifact with every kind of file, in a folder whose name needs quoting."""
    folder = tmp_path / "it's an artifact"
    folder.mkdir()
    write_rollouts(folder / "rollouts", run_of(3))
    write_key_steps(folder / "key_steps.duckdb", [question(0, id="q0"), question(1, id="q1")])
    polars.DataFrame({"n": [1, 2]}).write_parquet(folder / "warmup.parquet")
    lines = [{"step": step, "num_steps": 2, "metrics": {"loss": 0.5 * step} | ({"clip_low": 0.5} if step > 1 else {})} for step in (1, 2)]
    (folder / "reports.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "record.json").write_text("{}")
    (folder / "policy").mkdir()
    return folder


def rows(folder: Path, sql: str) -> list[tuple[object, ...]]:
    with querying(folder, sql) as answer:
        return list(answer.rows)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_table_is_listed_with_its_rows_and_columns(artifact: Path) -> None:
    tables = {table.name: table for table in list_tables(artifact)}
    assert tables.keys() > {"rollouts", "reports", "warmup", "questions", "key_steps", "rejected", "key_steps_per_question"}
    assert tables["rollouts"].num_rows == 18
    assert dict(tables["rollouts"].columns)["marks"].startswith("STRUCT(key_step INTEGER")
    assert tables["questions"].num_rows == 2


def test_a_query_joins_whatever_the_artifact_holds(artifact: Path) -> None:
    joined = rows(artifact, "SELECT q.id, count(*) FROM rollouts r JOIN questions q ON q.id = r.question_id GROUP BY 1 ORDER BY 1")
    assert joined == [("q0", 12), ("q1", 6)]
    assert rows(artifact, "SELECT metrics.loss, metrics.clip_low FROM reports ORDER BY step") == [(0.5, None), (1.0, 0.5)]
    assert rows(artifact, "SELECT len(marks) FROM rollouts WHERE step = 3 AND place = 2 ORDER BY path") == [(0,), (1,)]


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO 'out.csv'",
        "COPY (SELECT 1) TO '{artifact}/key_steps.duckdb'",
        "COPY (SELECT 1) TO '{artifact}/warmup.parquet' (FORMAT parquet)",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{artifact}/key_steps.duckdb'",
        "ATTACH '{artifact}/key_steps.duckdb' AS again",
        "ATTACH 'new.duckdb'",
        'DETACH "file key_steps"',
        'INSERT INTO "file key_steps".questions SELECT * FROM questions',
        'WITH x AS (INSERT INTO "file key_steps".meta VALUES (9) RETURNING *) SELECT * FROM x',
        "CREATE TABLE t AS SELECT 1",
        "EXPORT DATABASE 'out'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET temp_directory = '.'",
        "PRAGMA enable_profiling = 'json'",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM read_csv('{artifact}/record.json')",
        "SELECT * FROM '{artifact}/warmup.parquet'",
        "SELECT * FROM glob('*')",
        "SELECT * FROM 'https://example.org/a.parquet'",
        "SELECT * FROM artifact",
        "SELECT 1; SELECT 2",
        "",
        "SELEC 1",
        "SELECT colour FROM rollouts",
        "SELECT * FROM rolouts",
        "SELECT CAST(text AS INTEGER) FROM rollouts",
    ],
)
def test_nothing_else_is_possible_and_it_is_said_in_one_line(artifact: Path, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(artifact.parent)
    before = contents(artifact.parent)
    with pytest.raises(ValueError, match=r"^(query: |a query is one SELECT)") as raised:
        rows(artifact, sql.replace("{artifact}", str(artifact).replace("'", "''")))
    assert "\n" not in str(raised.value)
    assert contents(artifact.parent) == before


def test_a_wrong_table_is_told_the_right_ones(artifact: Path) -> None:
    with pytest.raises(ValueError, match=r"\(tables: .*rollouts, sources, warmup\)"):
        rows(artifact, "SELECT * FROM rolouts")


@pytest.mark.parametrize("name", ["warmup.parquet", "key_steps.duckdb", "reports.jsonl", "rollouts/part-0000.parquet"])
def test_a_damaged_file_is_named(artifact: Path, name: str) -> None:
    (artifact / name).write_bytes(b"no table at all")
    with pytest.raises(ValueError, match="run the stage that makes it again"):
        rows(artifact, "SELECT 1")


def test_the_databases_are_opened_for_reading_alone(artifact: Path) -> None:
    with duckdb.connect(str(artifact / "key_steps.duckdb"), read_only=True, config={"enable_external_access": "false"}) as other:
        before = other.execute("SELECT count(*) FROM questions").fetchall()
    assert rows(artifact, "SELECT count(*) FROM questions") == before


def test_two_databases_with_the_same_tables_can_both_be_asked(artifact: Path) -> None:
    write_key_steps(artifact / "validation.duckdb", [question(2, id="q2")])
    assert rows(artifact, "SELECT id FROM questions UNION ALL SELECT id FROM validation_questions ORDER BY id") == [
        ("q0",),
        ("q1",),
        ("q2",),
    ]
