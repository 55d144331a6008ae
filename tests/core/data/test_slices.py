"""Slices: whatever a file holds, its slices give the records that one reader of the whole file gives, for any number of workers."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1vl_core.config import Source
from r1vl_core.data import sources
from r1vl_core.data.readers import read_records
from r1vl_core.data.shards import Processes
from r1vl_core.data.sources import judge_sources
from r1vl_core.data.text_checks import Judged, TextChecks, judge_record
from tests.core.data.samples import Folder, record

CHECKS = TextChecks(sketches=False)
GOOD = json.dumps(record())
PIECES = (
    GOOD,
    json.dumps(record("é ☃ 😀", images="é.png"), ensure_ascii=False),
    json.dumps(record('a "}, {\\"messages\\": [" inside a text')),
    json.dumps({"id": 1, **record()}),
    json.dumps({**record(), "boxes": [{"id": 1}, {"id": 2}, {"id": 3}]}),
    json.dumps({"own_key": [{"image": "x"}], **record()}),
    GOOD[: len(GOOD) // 2],
    GOOD[:-1],
    GOOD + "}",
    '{"messages": [oops',
    '{"messages": [}',
    "null", "[]", '"text"', "1e999", "NaN", "\ud800", '{"image', "}", "]", "[", ",", "",
)  # fmt: skip


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of a record or two, forced cuts in the midst of one."""
    monkeypatch.setattr(sources, "SLICE_BYTES", 150)
    monkeypatch.setattr(sources, "_MAX_SLICE_BYTES", 700)
    monkeypatch.setattr(sources, "_PEEK_BYTES", 64)


def by_slices(source: Source, num_workers: int = 1) -> list[Judged]:
    """Every record as its slice gives it."""
    with Processes(num_workers) as processes:
        return [one for batch in judge_sources([source], CHECKS, processes.map) for one in batch]


def as_a_whole(source: Source) -> list[Judged]:
    """Every record as the reader of the whole file gives it."""
    return [judge_record(one, CHECKS) for one in read_records(source)]


@pytest.mark.usefixtures("tiny")
@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from([",", ", ", ",\n  ", "\n,\n", ",,", " ", ""])), max_size=14),
    st.sampled_from(["[]", "[ \n]\n", "[", "[] tail", "\ufeff[]"]),
)
def test_slices_of_any_array_are_its_records(parts: list[tuple[str, str]], ends: str) -> None:
    opening, closing = ends[: ends.index("[") + 1], ends[ends.index("[") + 1 :]
    inner = "".join(piece + separator for piece, separator in parts)
    check(opening + inner.removesuffix(parts[-1][1] if parts and parts[-1][1] else " ") + closing, "train.json")


@pytest.mark.usefixtures("tiny")
@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_slices_of_any_lines_are_its_records(pieces: list[str], end: str) -> None:
    check(GOOD + "\n" + end.join(pieces), "train.jsonl")


@pytest.mark.usefixtures("tiny")
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_slices_of_a_damaged_array_are_its_records(data: st.DataObject) -> None:
    text = json.dumps([record(f"Question {number}, é?") for number in range(8)], ensure_ascii=False).encode()
    at = data.draw(st.integers(1, len(text) - 1))
    damage = data.draw(st.binary(max_size=4))
    check(text[:at] + damage + text[at + data.draw(st.integers(0, 300)) :], "train.json")


def check(content: str | bytes, name: str) -> None:
    """Hold the slices of a file against the whole of it."""
    with TemporaryDirectory() as root:
        file = Path(root) / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        source = Source(name="mine", path=file, images=Path(root))
        assert by_slices(source) == as_a_whole(source)
        parts = sources.cut(source)
        assert [part.end for part in parts[:-1]] == [part.start for part in parts[1:]]
        assert parts[-1].end == file.stat().st_size


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("name", ["train.json", "train.jsonl"])
def test_the_number_of_workers_changes_nothing(folder: Folder, name: str) -> None:
    values = [json.dumps(record(f"Question {number}?")) for number in range(60)]
    values[20:22] = ['{"messages": [oops', '{"messages": ["' + "x" * 2000]
    source = folder.source("[" + ",\n".join(values) + "]" if name == "train.json" else "\n".join(values), name)
    assert len(sources.cut(source)) > 20
    alone = by_slices(source)
    assert by_slices(source, num_workers=2) == alone == as_a_whole(source)
    assert [one.row for one in alone] == list(range(1, len(alone) + 1))


def test_an_array_of_another_shape_is_cut_too(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SLICE_BYTES", 150)
    source = folder.source([{"conversation_id": number, **record()} for number in range(20)])
    assert len(sources.cut(source)) > 10
    assert by_slices(source) == as_a_whole(source)


def test_a_table_is_read_in_slices(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1vl_core.data.tables.SLICE_ROWS", 7)
    rows = [{**record(f"Question {number}?"), "images": [f"{number}.png"]} for number in range(50)]
    file = folder.root / "train.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file, row_group_size=16)
    source = Source(name="mine", path=file, images=folder.images)
    assert len(sources.cut(source)) == 8
    assert by_slices(source) == as_a_whole(source)
    assert [one.text for one in by_slices(source)] == [f"Question {number}?" for number in range(50)]  # type: ignore[union-attr]


def test_memory_is_bounded(folder: Folder) -> None:
    text = ",\n".join(json.dumps(record(f"Question {number}? " + "word " * 400)) for number in range(12_000))
    source = folder.source(f"[{text}, oops]")
    tracemalloc.start()
    num_read = sum(len(batch) for batch in judge_sources([source], CHECKS, map))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert num_read == 12_001
    assert peak < source.path.stat().st_size / 2


def test_a_line_without_an_end_is_never_whole_in_memory(folder: Folder) -> None:
    source = folder.source(f'{GOOD}\n{{"messages": ["{"x" * 60_000_000}\n{GOOD}\n', "train.jsonl")
    tracemalloc.start()
    judged = by_slices(source)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(judged) == 3
    assert peak < source.path.stat().st_size
