"""The database: what goes in comes out, identity is content, and nobody but its builder writes."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from r1vl_core.config import Source
from r1vl_core.data import database
from r1vl_core.data.database import Counts, content_digest, counts, query, read_questions, read_rejected, write_curated, write_key_steps
from r1vl_core.records import Question, Rejected
from tests.core.data.samples import question

SOURCES = [Source(name="mine", path=Path("/data/train.json"), images=Path("/data/images"), licence="CC BY 4.0")]
REJECTED = [Rejected("mine", 7, "duplicate", "as row 1", '{"a": "\\u0000 é"}'), Rejected("mine", 2**40, "no_image", "none", "")]


def bare(*numbers: int) -> list[Question]:
    """Questions before key steps."""
    return [question(number, key_steps=()) for number in numbers]


def test_curated_round_trip_in_stored_order(tmp_path: Path) -> None:
    questions = bare(5, 1, 4, 0)
    write_curated(tmp_path / "curated.duckdb", [*questions, *REJECTED], SOURCES)
    assert read_questions(tmp_path / "curated.duckdb") == questions
    assert read_rejected(tmp_path / "curated.duckdb") == REJECTED
    assert [file.name for file in tmp_path.iterdir()] == ["curated.duckdb"]


def test_key_steps_round_trip(tmp_path: Path) -> None:
    questions = [question(2, key_steps=(("a", "b"), ("c",), ("a",))), question(1)]
    write_key_steps(tmp_path / "key_steps.duckdb", questions, REJECTED)
    assert read_questions(tmp_path / "key_steps.duckdb") == questions
    assert read_rejected(tmp_path / "key_steps.duckdb") == REJECTED


def test_the_stored_order_is_the_position_not_the_place_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    write_key_steps(path, [question(number) for number in range(4)], REJECTED)
    with duckdb.connect(str(path)) as connection:
        for table in ("questions", "rejected"):
            connection.execute(f"UPDATE {table} SET position = 9 - position")
    assert read_questions(path) == [question(number) for number in (3, 2, 1, 0)]
    assert read_rejected(path) == REJECTED[::-1]


def test_more_rows_than_a_batch(tmp_path: Path) -> None:
    questions = [question(number, key_steps=((str(number),),)) for number in range(database._BATCH_ROWS + 3)]
    write_key_steps(tmp_path / "a.duckdb", iter(questions))
    assert read_questions(tmp_path / "a.duckdb") == questions


@pytest.mark.parametrize("num", [1, 4, 5, 8, 9])
def test_batches_of_questions_join_without_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num: int) -> None:
    questions = [question(number) for number in range(num)]
    write_key_steps(tmp_path / "q.duckdb", questions)
    monkeypatch.setattr(database, "_BATCH_ROWS", 4)
    assert read_questions(tmp_path / "q.duckdb") == list(database.iterate(tmp_path / "q.duckdb")) == questions
    assert database.read_some_questions(tmp_path / "q.duckdb", 3, 4) == questions[3:7]


def test_an_id_means_the_question_that_has_it_then_those_called_so_then_those_that_begin_so(tmp_path: Path) -> None:
    ids = [("aa01", None), ("aa02", "aa01"), ("bb", "web-7"), ("cc", "web-7"), ("bb1", "aa")]
    questions = [question(number, id=own, source_id=theirs) for number, (own, theirs) in enumerate(ids)]
    write_key_steps(tmp_path / "q.duckdb", questions)
    wanted = {"aa01": ([0], True), "web-7": ([2, 3], True), "aa": ([4], True), "aa0": ([0, 1], False), "bb": ([2], True), "zz": ([], False)}
    for text, (positions, is_whole) in wanted.items():
        found = database.find_questions(tmp_path / "q.duckdb", text)
        assert (list(found.positions), list(found.first), found.is_whole) == (positions, [questions[at] for at in positions], is_whole)
    assert database.find_questions(tmp_path / "q.duckdb", "", num_shown=2).first == tuple(questions[:2])


def test_nothing_at_all(tmp_path: Path) -> None:
    write_curated(tmp_path / "a.duckdb", [], [])
    assert read_questions(tmp_path / "a.duckdb") == []
    assert counts(tmp_path / "a.duckdb") == Counts(0, 0, 0)
    assert len(content_digest(tmp_path / "a.duckdb")) == 64


def test_counts_and_views(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    other = Rejected("other", 1, "duplicate", "", "")
    write_key_steps(path, [question(0), question(1, source="other"), question(2)], [*REJECTED, other])
    assert counts(path) == Counts(3, 3, 6, {"mine": 2, "other": 1}, {"duplicate": 2, "no_image": 1})
    assert counts(path).num_read == 6
    assert query(path, "FROM counts_by_source").rows() == [("mine", 2, 2, 4), ("other", 1, 1, 2)]
    assert query(path, "FROM reject_reasons").rows() == [("mine", "duplicate", 1), ("mine", "no_image", 1), ("other", "duplicate", 1)]
    assert query(path, "SELECT num_key_steps, num_forms FROM key_steps_per_question").rows() == [(2, 3)] * 3


def test_sources_are_kept_without_their_folders(tmp_path: Path) -> None:
    write_curated(tmp_path / "a.duckdb", [], SOURCES)
    assert query(tmp_path / "a.duckdb", "FROM sources").rows() == [(0, "mine", "train.json", "CC BY 4.0", 1.0)]
    moved = [SOURCES[0].model_copy(update={"path": Path("elsewhere/train.json"), "images": Path("elsewhere")})]
    write_curated(tmp_path / "b.duckdb", [], moved)
    assert content_digest(tmp_path / "a.duckdb") == content_digest(tmp_path / "b.duckdb")


def test_digest_is_of_the_content_not_of_the_file(tmp_path: Path) -> None:
    questions = [question(number) for number in range(300)]
    for name in ("a", "b"):
        write_key_steps(tmp_path / name, questions, REJECTED)
    assert content_digest(tmp_path / "a") == content_digest(tmp_path / "b") == content_digest(tmp_path / "a")
    files = {hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a", "b")}
    assert len(files) == 2  # if this fails, DuckDB has begun to write reproducible files: good news


@pytest.mark.parametrize(
    "questions",
    [
        [question(1), question(0)],
        [question(0)],
        [question(0), question(1, answer="13")],
        [question(0), question(1, source_id="1")],
        [question(0), question(1, reference_path="x")],
        [question(0), question(1, key_steps=(("5 + 7 = 12",), ("12", "5 plus 7 equals 12")))],
        [question(0), question(1, key_steps=(("12",), ("5 + 7 = 12", "5 plus 7 equals 12")))],
        [question(0), question(1, choices=(("A", "15"), ("B", "12")))],
    ],
)
def test_every_difference_changes_the_digest(tmp_path: Path, questions: list[Question]) -> None:
    write_key_steps(tmp_path / "a", [question(0), question(1)], REJECTED)
    write_key_steps(tmp_path / "b", questions, REJECTED)
    write_key_steps(tmp_path / "c", [question(0), question(1)], REJECTED[:1])
    assert len({content_digest(tmp_path / name) for name in "abc"}) == 3


def test_query_cannot_write_or_reach_other_files(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    write_curated(path, bare(0), SOURCES)
    (tmp_path / "secret.csv").write_text("a\n1\n")
    before = path.read_bytes()
    assert query(path, "SELECT answer FROM questions").rows() == [("12",)]
    for sql in (
        "DELETE FROM questions",
        "CREATE TABLE t (a INTEGER)",
        f"COPY questions TO '{tmp_path / 'out.csv'}'",
        f"SELECT * FROM read_csv('{tmp_path / 'secret.csv'}')",
        f"ATTACH '{tmp_path / 'new.duckdb'}'",
        "SET enable_external_access = true",
        "SELECT nonsense FROM questions",
        "SELEC",
    ):
        with pytest.raises(ValueError, match="query on a"):
            query(path, sql)
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.duckdb", "secret.csv"]


def test_what_is_no_database_of_ours_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such database; run the stage"):
        read_questions(tmp_path / "none.duckdb")
    (tmp_path / "text.duckdb").write_text("hello " * 1000)
    with pytest.raises(ValueError, match="cannot be opened as a DuckDB database"):
        counts(tmp_path / "text.duckdb")
    duckdb.connect(str(tmp_path / "foreign.duckdb")).close()
    with pytest.raises(ValueError, match="not a whole one of r1vl"):
        content_digest(tmp_path / "foreign.duckdb")


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    write_curated(path, bare(0), SOURCES)
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE meta SET schema_version = 99")
    for read in (read_questions, read_rejected, counts, content_digest):
        with pytest.raises(ValueError, match=r"a\.duckdb: schema version 99, this program reads 2; run the stage"):
            read(path)


def test_half_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    write_curated(path, [question(number, key_steps=()) for number in range(2000)], SOURCES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"a\.duckdb: the database is damaged"):
        read_questions(path)


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    with pytest.raises(duckdb.ConstraintException):
        write_curated(path, bare(0, 1, 0), SOURCES)
    with pytest.raises(AssertionError, match="has no key steps"):
        write_key_steps(path, bare(0))
    assert list(tmp_path.iterdir()) == []


def test_a_database_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    write_curated(path, bare(0), SOURCES)
    with pytest.raises(ValueError, match="exists already"):
        write_curated(path, bare(1), SOURCES)
    assert read_questions(path) == bare(0)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot write .*a\.duckdb"):
        write_curated(tmp_path / "none" / "a.duckdb", bare(0), SOURCES)


def _build_on_a_full_disk(path: Path) -> str:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    try:
        write_curated(path, (question(number, key_steps=(), text=f"{number}" * 500) for number in range(8000)), SOURCES)
    except OSError as error:
        return str(error)
    return "written"


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        message = pool.apply(_build_on_a_full_disk, [tmp_path / "a.duckdb"])
    assert "cannot write" in message
    assert list(tmp_path.iterdir()) == []


def _build_and_die(path: Path) -> None:
    def questions() -> Iterator[Question]:
        yield from (question(number, key_steps=()) for number in range(database._BATCH_ROWS + 1))
        os.kill(os.getpid(), signal.SIGKILL)

    write_curated(path, questions(), SOURCES)


def test_a_killed_build_is_never_a_database(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    child = multiprocessing.get_context("spawn").Process(target=_build_and_die, args=(path,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    with pytest.raises(ValueError, match=r"a\.duckdb: a DuckDB database, but not a whole one"):
        read_questions(path)


def _read(path: Path) -> int:
    return len(read_questions(path))


def test_many_processes_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    write_curated(path, bare(*range(50)), SOURCES)
    with database._reading(path), multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_read, [path] * 4) == [50] * 4
        assert _read(path) == 50


def test_the_folder_may_be_read_only(tmp_path: Path) -> None:
    folder = tmp_path / "object"
    folder.mkdir()
    write_curated(folder / "a.duckdb", bare(0), SOURCES)
    shutil.copy(folder / "a.duckdb", folder / "b.duckdb")
    os.chmod(folder / "a.duckdb", 0o444)
    os.chmod(folder, 0o555)
    assert read_questions(folder / "a.duckdb") == bare(0)
    os.chmod(folder, 0o755)
