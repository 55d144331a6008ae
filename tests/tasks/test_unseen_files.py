"""Evaluation files that must stay unseen: whatever they ask is left out of the training data, answers or not."""

import base64
from pathlib import Path

from r1vl_core.config import Preset, Runtime, parse_preset
from r1vl_core.data.database import read_questions, read_rejected
from r1vl_core.records import Question
from tasks import curate
from tasks.registry import STAGES
from tasks.stages import bring_up_to_date
from tasks.store import Store

RUNTIME = Runtime(num_workers=1, device="cpu")


def preset(*files: Path) -> Preset:
    world = {"num_questions": 20, "num_heldout": 4, "seed": 5}
    unseen = {"contamination_data": [str(file) for file in files]}
    return parse_preset({"name": "small", "prompt": "plain", "max_pixels": 200704, "world": world, "curate": unseen}, "test")


def test_what_a_file_with_hidden_answers_asks_is_left_out(tmp_path: Path) -> None:
    built = bring_up_to_date("curate", STAGES, preset(), RUNTIME, Store(tmp_path / "root"))
    questions = list(read_questions(built["curate"].artifact.path / curate.DATABASE))

    def cell(question: Question) -> str:
        (picture,) = built["world"].artifact.path.rglob(Path(question.image).name)
        return base64.b64encode(picture.read_bytes()).decode()

    asked, shown = questions[:2], questions[2]
    file = tmp_path / "hidden.tsv"
    # The first two as they are, one of them among several pictures; of the third the picture alone.
    first, second = asked
    rows = [f"0\t{first.text}\t{cell(first)}", f"1\t{second.text}\t['{cell(shown)}', '{cell(second)}']", f"2\tWhy is that?\t{cell(shown)}"]
    file.write_text("index\tquestion\timage\n" + "\n".join(rows) + "\n", encoding="utf-8")

    again = bring_up_to_date("curate", STAGES, preset(file), RUNTIME, Store(tmp_path / "root"))
    database = again["curate"].artifact.path / curate.DATABASE
    assert {question.id for question in read_questions(database)} == {question.id for question in questions} - {one.id for one in asked}
    by_file = [one for one in read_rejected(database) if one.reason == "contaminated" and file.name in one.detail]
    assert len(by_file) == len(asked)
