"""Curation: every record becomes exactly one of a question or a named reject."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from r1vl_core.config import Curate
from r1vl_core.data.curate import REASONS, HeldOut, curate, held_out_questions, judge
from r1vl_core.data.image_checker import ImageChecker
from r1vl_core.data.images import digest_pixels
from r1vl_core.data.perceptual import perceptual_hash
from r1vl_core.data.readers import read_records
from r1vl_core.reasoning.paths import render
from r1vl_core.records import BenchmarkRow, Question, Rejected
from tests.core.data.samples import Curated, Folder, bomb_png, encoded, path, picture, record

RETHINK = "I think I have made a mistake. Let me rethink it."


def run(folder: Folder, records: list[Any], settings: Curate | None = None, **changes: Any) -> Curated:
    """Curate an array of records; whatever they are, none may vanish."""
    read = folder.read(records)
    curated = Curated.of(judge(read, folder.checks(settings, **changes)))
    assert curated.num_read == len(read) == len(records)
    assert {one.reason for one in curated.rejected} <= set(REASONS)
    assert [one.row for one in curated.rejected] == sorted(one.row for one in curated.rejected)
    assert all(one.raw == read[one.row - 1].raw and one.detail for one in curated.rejected)
    assert len({question.id for question in curated.questions}) == len(curated.questions)
    return curated


def rejection(folder: Folder, one: Any, settings: Curate | None = None, **changes: Any) -> tuple[str, str]:
    """Reason and detail of a single record that must be rejected, clean records before and after it being kept."""
    folder.picture("clean.png", seed=200)
    before, after = record("Clean before?", images="clean.png"), record("Clean after?", images="clean.png")
    curated = run(folder, [before, one, after], settings, **changes)
    assert [question.text for question in curated.questions] == ["Clean before?", "Clean after?"]
    (rejected,) = curated.rejected
    return rejected.reason, rejected.detail


def test_a_clean_record_becomes_a_question(folder: Folder) -> None:
    folder.picture("0.png")
    asked = "<image>Look closely.\nQuestion: What is the sum?\nChoices:\nA: 12\nB: 15"
    (question,) = run(folder, [record(asked, path("A: 12") + "\n", "0.png")]).questions
    assert question.text == "What is the sum?"
    assert question.choices == (("A", "12"), ("B", "15"))
    assert (question.answer, question.source, question.image, question.key_steps) == ("A: 12", "mine", "0.png", ())
    assert question.reference_path == path("A: 12")
    assert len(question.image_sha256) == 64
    assert len(question.id) == 16


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"user": None}, "unreadable_record", "the user message's text is null"),
        ({"user": "<image>"}, "unreadable_record", "asks nothing"),
        ({"images": None}, "no_image", "no picture"),
        ({"images": []}, "no_image", "no picture"),
        ({"images": ["0.png", "0.png"]}, "several_images", "2 pictures"),
        ({"user": "<image><image>Which differs?"}, "several_images", "shows 2 pictures"),
        ({"assistant": path() + f"\n{RETHINK}"}, "reflective", "rethink_sentence"),
        ({"assistant": path() + "\nI THINK I have\nmade a  mistake."}, "reflective", "rethink_sentence"),
        ({"assistant": f"{path('11')}\n{path()}"}, "reflective", "repeated_header, step_numbers"),
        ({"assistant": path().replace("Step 2", "Step 3")}, "reflective", "step_numbers"),
        (
            {"assistant": path().replace("### Rationales:", "")},
            "unparsable_path",
            "missing_rationale (no line begins with '### Rationales:')",
        ),
        ({"assistant": ""}, "unparsable_path", "no reasoning path"),
        ({"assistant": "<think>5 + 7</think><answer>12</answer>"}, "unparsable_path", "none of its sections (### Image Description:"),
        ({"assistant": path().replace("### Rationales:", "")}, "unparsable_path", "missing_rationale"),
        ({"user": "Which?\nA: 12\nB: 15", "assistant": path("D")}, "answer_mismatch", "'D' is none of the choices A, B"),
        ({"assistant": "The answer is 12."}, "unparsable_path", "none of its sections"),
        ({"assistant": path().replace("### Rationales:", "Rationales:")}, "unparsable_path", "missing_rationale"),
        ({"assistant": "### The final answer is: 12\n" + path().split("### The final")[0]}, "unparsable_path", "answer_not_last"),
        ({"assistant": path("")}, "no_answer", "empty_answer (nothing stands behind '### The final answer is:' nor below it)"),
        ({"assistant": path().split("### The final")[0]}, "no_answer", "missing_answer (no line begins with '### The final answer is:')"),
        ({"images": "../mine.json"}, "image_outside_root", "climbs out"),
        ({"images": "/etc/passwd"}, "image_outside_root", "absolute"),
        ({"images": "lost.png"}, "missing_image", "lost.png"),
        ({"images": "cut.png"}, "broken_image", "truncated"),
        ({"images": "empty.png"}, "broken_image", "not a picture"),
        ({"images": "bomb.png"}, "image_too_large", "the limit is"),
        ({"images": "small.png"}, "image_too_small", "20 x 20"),
        ({"user": "word " * 3000}, "prompt_too_long", "3001 tokens; the limit is 2048"),
        ({"images": "wide.png"}, "prompt_too_long", "the limit is 2048"),
        ({"assistant": path("word " * 3000)}, "path_too_long", "tokens; the limit is 1024"),
        ({"user": "<image>clean  BEFORE?", "images": "copy.bmp"}, "duplicate", "mine, row 1"),
    ],
)
def test_each_reason(folder: Folder, changes: dict[str, Any], reason: str, detail: str) -> None:
    folder.picture("0.png")
    folder.picture("cut.png", encoded(picture())[:-40])
    folder.picture("empty.png", b"")
    folder.picture("bomb.png", bomb_png(60_000, 60_000))
    folder.picture("small.png", encoded(picture(size=(20, 20))))
    folder.picture("wide.png", encoded(picture(size=(1600, 1200))))
    folder.picture("copy.bmp", encoded(picture(200), "BMP"))
    found, why = rejection(folder, record(**changes))
    assert found == reason
    assert detail in why


def test_the_first_failed_check_names_the_reason(folder: Folder) -> None:
    """Each record fails this check and all later ones that it can fail together."""
    folder.picture("small.png", encoded(picture(size=(20, 20))))
    long_question = "word " * 3000
    reflective = record(long_question, f"{RETHINK} no path", "lost.png")
    assert rejection(folder, reflective)[0] == "reflective"
    assert rejection(folder, record(long_question, "no path", "lost.png"))[0] == "unparsable_path"
    assert rejection(folder, record(long_question, path(""), "lost.png"))[0] == "no_answer"
    assert rejection(folder, record(long_question, path(), "lost.png"))[0] == "missing_image"
    assert rejection(folder, record(long_question, path(), "small.png"))[0] == "image_too_small"


def test_duplicates(folder: Folder) -> None:
    folder.picture("0.png")
    folder.picture("same.png", encoded(picture(), compress_level=1))
    folder.picture("other.png", seed=9)
    choices = "\nChoices:\nA: 12\nB: 15"
    curated = run(
        folder,
        [
            record("What is the sum?", path("11")),
            record("<image>  what is\nthe SUM?", path("12"), "same.png"),
            record("What is the sum?", images="other.png"),
            record("What is the difference?"),
            record("What is the sum?" + choices),
            record("What is the sum?" + choices.replace("15", "16")),
            record("What is the sum?" + choices, images="same.png"),
        ],
    )
    assert [(one.row, one.reason) for one in curated.rejected] == [(2, "duplicate"), (7, "duplicate")]
    assert "row 5" in curated.rejected[1].detail
    assert curated.questions[0].answer == "11"


def test_only_an_accepted_question_makes_the_next_a_duplicate(folder: Folder) -> None:
    folder.picture("0.png")
    curated = run(folder, [record(assistant=path("word " * 3000)), record()])
    assert [one.reason for one in curated.rejected] == ["path_too_long"]
    assert [one.answer for one in curated.questions] == ["12"]


def test_contamination_needs_question_and_picture(folder: Folder) -> None:
    folder.picture("0.png")
    folder.picture("other.png", seed=9)
    row = BenchmarkRow("1", "What is the SUM?", (("A", "12"), ("B", "13")), "12", "add", encoded(picture(), "BMP"))
    held_out = held_out_questions([row], 10_000)
    assert held_out == [HeldOut("what is the sum?", digest_pixels(picture()), perceptual_hash(picture()), "the held-out set")]
    records = [
        record("What is the sum?"),
        record("What is the sum?\nChoices:\nA: 11\nB: 12"),
        record("What else?"),
        record("What is the sum?", images="other.png"),
    ]
    curated = run(folder, records, held_out=held_out)
    assert [(one.row, one.reason) for one in curated.rejected] == [(1, "contaminated"), (2, "contaminated")]
    assert not run(folder, records, Curate(contamination=False), held_out=held_out).rejected


def test_a_held_out_picture_that_does_not_decode_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"held-out row '7': its picture: not a picture in a known format; save it as PNG, JPEG, WEBP, GIF or BMP"
    ):
        held_out_questions([BenchmarkRow("7", "What?", (), "1", "", b"no picture")], 10_000)


def test_ids_depend_on_content_alone(folder: Folder, tmp_path: Path) -> None:
    folder.picture("0.png")
    folder.picture("moved/same.webp", encoded(picture(), "WEBP", lossless=True))
    (here,) = run(folder, [record("What is the sum?", path("12"))]).questions
    (there,) = run(folder, [record("Question: what is the sum?", path("13"), "moved/same.webp")]).questions
    assert here.id == there.id
    (other,) = run(folder, [record("What is the sum?\nChoices:\nA: 1\nB: 2", path("B"))]).questions
    assert other.id != here.id


def test_counters_see_the_question_and_the_upright_size(folder: Folder) -> None:
    folder.picture("0.png", encoded(picture(size=(50, 30))))
    seen: list[tuple[str, int, int]] = []

    def count(question: Question, width: int, height: int) -> int:
        seen.append((question.text, width, height))
        return 7

    limits = Curate(max_prompt_tokens=7, max_path_tokens=5)
    assert len(run(folder, [record()], limits, count_prompt_tokens=count, count_path_tokens=lambda text: 5).questions) == 1
    assert seen == [("What is the sum?", 50, 30)]
    assert run(folder, [record()], limits, count_prompt_tokens=lambda *_: 8).rejected[0].reason == "prompt_too_long"
    assert run(folder, [record()], limits, count_path_tokens=lambda text: 6).rejected[0].reason == "path_too_long"


def test_hostile_file_from_end_to_end(folder: Folder) -> None:
    """A file with something wrong at every level: what is whole is kept, everything else is named once."""
    for number in range(3):
        folder.picture(f"{number}.png", seed=number)
    good = [json.dumps(record(f"Question {number}?", images=f"{number}.png")) for number in range(3)]
    deep = render("d", "r", [f"step {number}" for number in range(10_000)], "x")
    hostile = [
        "null", "[]", '"text"', "NaN", "1e999", '{"messages": [oops', '{"messages": {"a": NaN}}', '{"messages": [null]}',
        json.dumps(record(user="\ud800")), json.dumps(record(images="a\0.png")), json.dumps(record(user="\0\x1b\x7f")),
        json.dumps(record(images="../../etc/passwd")), json.dumps(record(assistant=deep)), json.dumps(record("x" * 100_000)),
        '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]',
    ]  # fmt: skip
    read = folder.read("[" + ",\n".join([good[0], *hostile, good[1], "{]", good[2]]) + "]")
    curated = Curated.of(judge(read, folder.checks()))
    assert curated.num_read == len(read) == len(hostile) + 4
    assert [one.text for one in curated.questions] == ["Question 0?", "x" * 100_000, "Question 1?", "Question 2?"]
    assert [one.row for one in curated.rejected] == [*range(2, 15), 16, 18]
    assert {row: one.reason for one in curated.rejected if (row := one.row) in (11, 13, 14)} == {
        11: "missing_image",
        13: "image_outside_root",
        14: "path_too_long",
    }


def test_order_and_result_do_not_depend_on_workers_or_batches(folder: Folder) -> None:
    names = [
        folder.picture(f"{number}.png", b"cut" if number % 5 == 2 else None, seed=number) for number in range(2 * ImageChecker.SHARD + 8)
    ]
    records = [record(f"Question {number}?", images=name) for number, name in enumerate(names)]
    read = list(read_records(folder.source(records)))
    outcomes = list(judge(iter(read), folder.checks()))
    assert [isinstance(one, Rejected) for one in outcomes] == [number % 5 == 2 for number in range(len(read))]
    alone = Curated.of(outcomes)
    pooled = Curated.of(judge(read * 2, folder.checks(), num_workers=2))
    assert pooled.questions == alone.questions
    assert [one for one in pooled.rejected if one.reason != "duplicate"] == alone.rejected * 2
    assert list(curate([folder.source(records)], folder.checks())) == outcomes
