"""Formats that people bring: the same records, whatever they are written in, give the same questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import pyarrow.parquet
import pytest

from r1vl_core.config import Source
from r1vl_core.data.curate import curate
from r1vl_core.data.database import content_digest, read_questions, write_curated, write_key_steps
from r1vl_core.data.readers import format_of
from r1vl_core.records import Question
from tests.core.data.samples import Curated, Folder, path, record

STEPS = {"Steps": [["5 + 7 = 12", "5 plus 7 equals 12"], "12"]}
KEY_STEPS = (("5 + 7 = 12", "5 plus 7 equals 12"), ("12",))


def paper(number: int, **changes: Any) -> dict[str, Any]:
    """A record of R1-VL-10K."""
    return {"image_path": "0.png", "problem": f"Question {number}?", "solution": path(), "key_steps": STEPS, **changes}


def read(folder: Folder, source: Source) -> Curated:
    """Curate one source."""
    return Curated.of(curate([source], folder.checks()))


@pytest.fixture
def pictured(folder: Folder) -> Folder:
    """A folder with a picture."""
    folder.picture("0.png")
    return folder


def test_every_format_gives_the_same_questions(pictured: Folder) -> None:
    rows = [record(f"Question {number}?\nChoices:\nA: 12\nB: {number}", path("A: 12")) for number in range(20)]
    expected = read(pictured, pictured.source(rows)).questions
    assert len(expected) == 20
    lines = "\n".join(map(json.dumps, rows))
    assert read(pictured, pictured.source(lines, "train.jsonl")).questions == expected
    assert read(pictured, pictured.source(lines, "train.txt")).questions == expected
    for name in ("train.parquet", "no_suffix"):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), pictured.root / name)
        assert read(pictured, Source(name="mine", path=pictured.root / name, images=pictured.images)).questions == expected


def test_a_database_of_ours_is_a_source_with_the_same_ids(pictured: Folder, tmp_path: Path) -> None:
    rows = [paper(number, problem=f"Question {number}? (A) 12 (B) {number} (C) x") for number in range(5)]
    source = pictured.source(rows)
    questions = read(pictured, source).questions
    for name, write in (("curated.duckdb", write_curated), ("key_steps.duckdb", write_key_steps)):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        write(folder / name, questions, *([[source]] if write is write_curated else []))  # type: ignore[operator]
        for place in (folder, folder / name):
            assert read(pictured, Source(name="mine", path=place, images=pictured.images)).questions == questions


def test_a_folder_without_a_database_is_refused(pictured: Folder, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"not a file, and a folder without key_steps\.duckdb or curated\.duckdb"):
        read(pictured, Source(name="mine", path=tmp_path, images=pictured.images))


def test_what_a_source_says_it_is_comes_before_its_name(pictured: Folder) -> None:
    source = pictured.source(json.dumps(record()), "train.json")
    assert format_of(source) == "jsonl"
    with pytest.raises(ValueError, match=r"is no JSON array: it begins with .*set this source's `format`"):
        format_of(source.model_copy(update={"format": "json"}))
    array = pictured.source([record()], "train.jsonl")
    assert format_of(array.model_copy(update={"format": "json"})) == "json"


@pytest.mark.parametrize("name", ["r1vl.json", "r1vl.jsonl"])
def test_key_steps_that_come_along_are_kept(pictured: Folder, name: str) -> None:
    rows = [paper(0), paper(1, key_steps=[STEPS]), paper(2, key_steps=None), paper(3, key_steps={"Steps": None})]
    content = json.dumps(rows) if name == "r1vl.json" else "\n".join(map(json.dumps, rows))
    found = read(pictured, pictured.source(content, name))
    assert [question.key_steps for question in found.questions] == [KEY_STEPS, KEY_STEPS, (), ()]
    assert {question.reference_path for question in found.questions} == {path()}
    file = pictured.root / "curated.duckdb"
    write_curated(file, found.questions, [])
    assert read_questions(file) == found.questions


def test_an_answer_alone_is_enough_where_there_are_key_steps(pictured: Folder) -> None:
    found = read(pictured, pictured.source([paper(0, solution="12"), paper(1, solution="12", key_steps=None)]))
    (question,) = found.questions
    assert (question.answer, question.reference_path, question.key_steps) == ("12", "", KEY_STEPS)
    assert [one.reason for one in found.rejected] == ["unparsable_path"]
    file = pictured.root / "curated.duckdb"
    write_curated(file, found.questions, [])
    assert read_questions(file) == [question]


def test_the_records_own_answer_is_held_against_the_paths(pictured: Folder) -> None:
    asked = "Which?\nChoices:\nA: 12\nB: 15"
    rows = [
        {**record("One?"), "answer": "12"},
        {**record("Two?"), "answer": 12},
        {**record("Three?"), "answer": "12.0"},
        {**record("Four?"), "answer": None},
        {**record(asked, path("A: 12")), "answer": "A"},
        {**record(asked, path("B")), "answer": "A"},
        {**record("Five?"), "answer": "13"},
    ]
    found = read(pictured, pictured.source(rows))
    assert len(found.questions) == 5
    assert [(one.row, one.reason) for one in found.rejected] == [(6, "answer_mismatch"), (7, "answer_mismatch")]
    assert found.rejected[1].detail == "the path ends with '12', the record's answer is '13'"


@pytest.mark.parametrize(
    ("ending", "answer"),
    [
        ("12\n\nNote: rounded to the nearest integer.", "12"),
        ("**12**\n\n**Verification:** 12 - 3 = 9.", "12"),
        ("The area of the shaded region is $24\\,\\mathrm{cm}^2$.", "24 cm²"),
        ("The length of AB is $5\\sqrt{2}$ cm.", "5√2"),
        ("12 cm<sup>2</sup>", "12 cm^2"),
        ("Points A and C", "A and C"),
        ("The clock shows 3:45.", "3:45"),
    ],
)
def test_answers_that_agree_in_other_words_are_no_mismatch(pictured: Folder, ending: str, answer: str) -> None:
    assert len(read(pictured, pictured.source([{**record("One?", path(ending)), "answer": answer}])).questions) == 1


@pytest.mark.parametrize(("ending", "answer"), [("B: 15", "A"), ("B: 12", "B"), ("B\n\nThe answer is A.", "B"), ("12\n\n13", "12")])
def test_a_remark_taken_off_hides_no_conflict(pictured: Folder, ending: str, answer: str) -> None:
    asked = "Which?\nChoices:\nA: 12\nB: 15"
    (rejected,) = read(pictured, pictured.source([{**record(asked, path(ending)), "answer": answer}])).rejected
    assert rejected.reason == "answer_mismatch"


def test_several_sources_are_read_in_order_and_their_weights_kept(pictured: Folder) -> None:
    here = pictured.source([record("One?"), record("Two?")], "a.json")
    there = pictured.source([record("two?"), paper(3)], "b.json").model_copy(update={"name": "other", "weight": 2.5})
    checks = pictured.checks(image_roots={"mine": pictured.images, "other": pictured.images})
    found = Curated.of(curate([here, there], checks))
    assert [(question.source, question.text) for question in found.questions] == [
        ("mine", "One?"),
        ("mine", "Two?"),
        ("other", "Question 3?"),
    ]
    assert [(one.source, one.row, one.reason) for one in found.rejected] == [("other", 1, "duplicate")]
    write_curated(pictured.root / "a.duckdb", found.questions, [here, there])
    write_curated(pictured.root / "b.duckdb", found.questions, [here, there.model_copy(update={"weight": 1.0})])
    assert content_digest(pictured.root / "a.duckdb") != content_digest(pictured.root / "b.duckdb")


def test_constraints_are_declared(pictured: Folder) -> None:
    question = Question("0" * 16, "mine", "0.png", "ab", "How many?", (), "12", path())
    write_curated(pictured.root / "a.duckdb", [question], [])
    with duckdb.connect(str(pictured.root / "a.duckdb")) as connection:
        for statement in (
            "INSERT INTO reasoning_paths VALUES (1, 'nobody', 'text')",
            "INSERT INTO key_steps VALUES (1, 'nobody', 0, ['12'])",
            f"INSERT INTO key_steps VALUES (0, '{question.id}', 0, [])",
            f"INSERT INTO key_steps VALUES (0, '{question.id}', -1, ['12'])",
            "INSERT INTO rejected VALUES (0, 'mine', 0, '', '', '')",
            "INSERT INTO sources VALUES (0, 'mine', 'a', '', 0)",
            "INSERT INTO questions SELECT * FROM questions",
            "UPDATE questions SET answer = NULL",
        ):
            with pytest.raises(duckdb.ConstraintException):
                connection.execute(statement)


def test_a_record_s_own_id_is_kept_beside_ours_through_every_format(pictured: Folder, tmp_path: Path) -> None:
    rows = [
        {"id": 7, **record("One?")},
        {"id": "geo-17 é", **record("Two?", images=["0.png"])},  # not plain: read exactly
        {**paper(3), "id": "x"},
        record("Four?"),
        *({"id": no_id, **record(f"No id {no_id}?")} for no_id in (None, "", 0.5, True, [1])),
    ]
    expected = ["7", "geo-17 é", "x", *[None] * 6]
    found = read(pictured, pictured.source(rows))
    assert [one.source_id for one in found.questions] == expected
    assert [one.id for one in found.questions] == [
        one.id for one in read(pictured, pictured.source([{**row, "id": None} for row in rows])).questions
    ]
    file = tmp_path / "curated.duckdb"
    write_curated(file, found.questions, [])
    assert [one.source_id for one in read_questions(file)] == expected
    ours = Source(name="mine", path=file, images=pictured.images)
    assert read(pictured, ours).questions == found.questions  # and not the ids that we made
    columns = [{"id": one, "messages": row["messages"], "images": "0.png"} for one, row in zip(expected[:2], rows[:2], strict=True)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(columns), pictured.root / "train.parquet")
    table = Source(name="mine", path=pictured.root / "train.parquet", images=pictured.images)
    assert [one.source_id for one in read(pictured, table).questions] == expected[:2]
