"""The bundled world: deterministic, honest in its reasoning, split by source image, and every planted defect caught."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from r1vl_core.config import Curate, Source
from r1vl_core.data import curate
from r1vl_core.evaluation.benchmarks.tsv import read_tsv
from r1vl_core.handwriting.boards import draw_board, glyph_indices, render_board
from r1vl_core.handwriting.questions import FAMILIES, draw_draft
from r1vl_core.handwriting.world import make_item, make_world, written_path
from r1vl_core.reasoning import answers, paths
from tests.core.data.samples import Curated

NUM_QUESTIONS, NUM_HELDOUT = 150, 60


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    make_world(folder / "a", NUM_QUESTIONS, NUM_HELDOUT, seed=3)
    return folder / "a"


def test_the_same_arguments_write_the_same_bytes(world: Path, tmp_path: Path) -> None:
    make_world(tmp_path / "b", NUM_QUESTIONS, NUM_HELDOUT, seed=3)
    names = sorted(str(path.relative_to(world)) for path in world.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(tmp_path / "b")) for path in (tmp_path / "b").rglob("*") if path.is_file())
    assert all((world / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)


def test_another_seed_makes_another_world(world: Path, tmp_path: Path) -> None:
    make_world(tmp_path / "b", NUM_QUESTIONS, NUM_HELDOUT, seed=4)
    assert (world / "heldout.tsv").read_bytes() != (tmp_path / "b" / "heldout.tsv").read_bytes()


def test_a_folder_in_use_is_refused(world: Path) -> None:
    with pytest.raises(ValueError, match="not an empty folder"):
        make_world(world, 1, 1, seed=0)


def test_no_glyph_is_on_both_sides() -> None:
    train, heldout = set(glyph_indices("train")), set(glyph_indices("heldout"))
    assert not train & heldout
    assert len(train | heldout) == 1797
    assert abs(len(heldout) / 1797 - 0.2) < 0.001


def test_boards_hold_glyphs_of_their_split_only() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert set(draw_board(rng, 3, "heldout").glyphs) <= set(glyph_indices("heldout"))


def test_a_cell_is_one_visual_token() -> None:
    rng = np.random.default_rng(0)
    assert render_board(draw_board(rng, 3, "train"), rng).size == (84, 84)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_every_family_reasons_in_two_to_four_true_steps(family) -> None:
    rng = np.random.default_rng(1)
    for _ in range(60):
        board = draw_board(rng, int(rng.integers(2, 4)), "train")
        draft = family(board, rng)
        assert 2 <= len(draft.steps) <= 4
        for step in draft.steps:
            equation = step.rpartition(": ")[2]
            if " = " in equation:
                left, right = equation.split(" = ")
                assert _value(left) == _value(right), step
        if not draft.choices:
            numbers = [word.rstrip(".") for word in draft.steps[-1].split()]
            assert numbers[-1] == draft.answer


def _value(expression: str) -> int:
    total, sign, product = 0, 1, None
    for word in expression.split():
        if word in "+-":
            total, product, sign = total + sign * (product or 0), None, 1 if word == "+" else -1
        elif word != "*":
            product = int(word) if product is None else product * int(word)
    return total + sign * (product or 0)


def test_paths_are_valid_and_their_answers_right() -> None:
    rng = np.random.default_rng(2)
    for _ in range(100):
        item = make_item(rng, "train")
        path = paths.parse(written_path(item, item.draft.answer))
        assert path.is_valid
        assert path.answer is not None
        assert answers.is_correct(path.answer.text, item.draft.answer, item.draft).verdict == "correct"


def test_choices_hold_the_right_answer_once() -> None:
    rng = np.random.default_rng(3)
    drafts = [draw_draft(draw_board(rng, 3, "train"), rng) for _ in range(200)]
    chosen = [draft for draft in drafts if draft.choices]
    assert 40 < len(chosen) < 160
    for draft in chosen:
        assert len({text for _, text in draft.choices}) == len(draft.choices)
        assert draft.answer in dict(draft.choices)


def test_heldout_reads_back_as_a_benchmark(world: Path) -> None:
    rows = list(read_tsv(world / "heldout.tsv"))
    assert len(rows) == NUM_HELDOUT
    assert {row.category for row in rows} == {family.__name__ for family in FAMILIES}
    with (world / "heldout.tsv").open(newline="") as file:
        assert next(csv.reader(file, delimiter="\t"))[:3] == ["index", "image", "question"]


def test_curation_finds_every_planted_defect_and_no_clean_record(world: Path) -> None:
    source = Source(name="world", path=world / "mulberry_sft.json", images=world / "images")
    heldout = curate.held_out_questions(read_tsv(world / "heldout.tsv"), 10**6)
    checks = curate.Checks(Curate(), {"world": source.images}, lambda question, width, height: 80, lambda path: 100, heldout)
    found = Curated.of(curate.curate([source], checks))
    planted = {int(row): reason for row, reason in json.loads((world / "planted.json").read_text()).items()}
    assert {rejected.row: rejected.reason for rejected in found.rejected} == planted
    assert len(found.questions) == NUM_QUESTIONS
    assert len(set(planted.values())) == 8


def test_a_world_is_whole_or_absent(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="non-negative"):
        make_world(tmp_path / "w", 3, 2, -1)  # no generator takes this seed; anything may fail midway
    assert list(tmp_path.iterdir()) == []
