"""What is wrong with the user's own files is found before anything is built, by the functions that the stages use."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from r1vl_core.config import Preset, parse_preset
from tasks.planning import WrongInputs, check_inputs, plan
from tasks.registry import STAGES
from tasks.store import Store
from tests.core.data.samples import encoded, picture, record

PICTURE = encoded(picture(3, (64, 64)))
HEADER = "index\tquestion\timage\tanswer\n"


def row(image: bytes = PICTURE, answer: str = "12") -> str:
    return f"0\tWhat is it?\t{base64.b64encode(image).decode()}\t{answer}\n"


def own_preset(folder: Path, records: list[Any] | str, heldout: str, **changes: Any) -> Preset:
    """A preset over a user's own folder: one source, one held-out file."""
    (folder / "images").mkdir()
    (folder / "images" / "0.png").write_bytes(PICTURE)
    (folder / "train.json").write_text(records if isinstance(records, str) else json.dumps(records))
    (folder / "held.tsv").write_text(heldout)
    sources = [{"name": "own", "path": str(folder / "train.json"), "images": str(folder / "images")}]
    return parse_preset({"name": "own", "sources": sources, "evaluate": {"data": str(folder / "held.tsv")}, **changes}, "test")


def problems(preset: Preset, until: str = "report") -> tuple[str, ...]:
    with pytest.raises(WrongInputs) as raised:
        check_inputs(until, STAGES, preset)
    return raised.value.lines


def test_good_files_pass(tmp_path: Path) -> None:
    check_inputs("report", STAGES, own_preset(tmp_path, [{"junk": 1}, record(images="none.png"), record()], HEADER + row()))


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "train.json: no records in it"),
        ('{"data": [', "unreadable_record: broken JSON"),
        (
            [record(images="images/0.png")],
            "missing_image: 'images/0.png': No such file or directory; its path starts at this source's `images`",
        ),
        ([record(assistant="The answer is 12.")], "unparsable_path: the path has none of its sections"),
    ],
)
def test_a_source_without_a_question_is_refused_with_its_first_reject(tmp_path: Path, records: Any, message: str) -> None:
    (line,) = problems(own_preset(tmp_path, records, HEADER + row()))
    assert "source own: none of " in line
    assert str(tmp_path / "train.json") in line
    assert message in line


def test_a_source_that_was_cut_off_is_refused_though_it_begins_well(tmp_path: Path) -> None:
    records = [record(images="0.png"), record(images="0.png")]
    preset = own_preset(tmp_path, records, HEADER + row())
    (train,) = (source.path for source in preset.sources)
    array, lines = json.dumps(records), "\n".join(map(json.dumps, records))
    for whole in (array, array + "\n", lines, lines + "\n"):
        train.write_text(whole)
        check_inputs("report", STAGES, preset)
    for cut, what in ((array[:-1], "the ] of its array"), (array[:-30], "the ] of its array"), (lines[:-30], "a whole record")):
        train.write_text(cut)
        (line,) = problems(preset)
        assert line.startswith(f"source own: {train} does not end with {what}: it was cut off")


@pytest.mark.parametrize(
    ("heldout", "message"),
    [
        ("", "no column 'index' in its header line"),
        (HEADER, "no row with a picture"),
        (HEADER.replace("answer", "gold") + row(), "no column 'answer'"),
        (HEADER + row(answer=""), "column 'answer': empty"),
        (HEADER + row(b"hello" * 20), "not a picture in a known format"),
        (HEADER + row(encoded(Image.new("RGB", (9000, 30)))), "one side is 300 times the other"),
    ],
)
@pytest.mark.parametrize("contamination", [True, False])
def test_a_held_out_file_that_will_not_do_is_refused(tmp_path: Path, heldout: str, message: str, contamination: bool) -> None:
    preset = own_preset(tmp_path, [record()], heldout, curate={"contamination": contamination})
    (line,) = problems(preset)
    assert message in line
    if not contamination:
        check_inputs("stepgrpo", STAGES, preset)  # no stage up to this one reads it


@pytest.mark.parametrize(
    ("other", "message"), [("[1, 2]\n", "no column 'index'"), (HEADER + row(b"hello" * 20), "not a picture in a known")]
)
def test_a_contamination_file_that_will_not_do_is_refused_unless_it_is_not_used(tmp_path: Path, other: str, message: str) -> None:
    file = tmp_path / "other.tsv"
    file.write_text(other)
    wanted = {"contamination_data": [str(file)]}
    preset = own_preset(tmp_path, [record()], HEADER + row(), curate=wanted)
    (line,) = problems(preset)
    assert message in line
    check_inputs("curate", STAGES, preset.model_copy(update={"curate": preset.curate.model_copy(update={"contamination": False})}))
    file.write_text(HEADER + row(answer=""))  # a benchmark whose answers are hidden
    check_inputs("curate", STAGES, preset)


def test_everything_wrong_is_said_at_once_and_a_plan_says_the_same(tmp_path: Path) -> None:
    preset = own_preset(tmp_path, [], "", model=str(tmp_path / "images"))
    lines = problems(preset)
    assert [line.split()[0] for line in lines] == ["checkpoint", "source", f"{tmp_path}/held.tsv:"]
    with pytest.raises(WrongInputs) as raised:
        plan("report", STAGES, preset, Store(tmp_path / "root"))
    assert raised.value.lines == lines


@pytest.mark.parametrize("command", ["plan", "run"])
def test_the_command_says_each_in_a_line_and_starts_nothing(tmp_path: Path, command: str) -> None:
    preset = own_preset(tmp_path, [], "")
    (source,) = preset.sources
    text = f'[[sources]]\nname = "own"\npath = "{source.path}"\nimages = "{source.images}"\n[evaluate]\ndata = "{preset.evaluate.data}"\n'
    (tmp_path / "own.toml").write_text(text)
    words = [sys.executable, "-m", "flows", command, str(tmp_path / "own.toml"), "--root", str(tmp_path / "root")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["r1vl:"] * 2
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("stage", ["warmup", "stepgrpo"])
def test_adapters_on_layers_that_the_model_lacks_are_found_before_anything_is_built(stage: str) -> None:
    def preset(*names: str) -> Preset:
        return parse_preset({"name": "own", "world": {}, stage: {"lora": {"target_modules": names}}}, "test")

    check_inputs("report", STAGES, preset("q_proj"))
    (line,) = problems(preset("q_proj", "qq_proj"))
    assert line.startswith(f"{stage}.lora.target_modules: the language model has no linear layer 'qq_proj'; it has ")
