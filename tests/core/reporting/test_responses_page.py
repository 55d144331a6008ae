"""The page of benchmark responses: whole without a network, light however many rows there are, and text on it stays text."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from r1vl_core.evaluation.benchmarks.rulings import Ruling, unresolved
from r1vl_core.reporting.responses_page import CHUNK_ROWS, PAGE, AnswerView, RowView, write_page
from tests.core.reporting.report_data import EVIL
from tests.core.reporting.test_page import Page

POLICIES, PROFILES = ("warm-up", "StepGRPO"), ("paper", "strict")
RESPONSE = "### Image Description:\nA board.\n### The final answer is: 3"


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (number % 256, number // 256, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def rows(num: int, text: str = RESPONSE) -> Iterator[RowView]:
    for number in range(num):
        rulings = {"paper": unresolved("", "no number"), "strict": Ruling("3", number % 2 == 0, "number")}
        answers = (AnswerView(text, 9, False, rulings), None if number == 1 else AnswerView(text, None, True, rulings))
        yield RowView("mme", str(number), text, text, text, (("A", text),), text, (picture(number // 2),), answers)


def write(folder: Path, given: Iterator[RowView]) -> Path:
    folder.mkdir()
    write_page(folder, f"StepGRPO {EVIL}", POLICIES, PROFILES, given, [EVIL])
    return folder


def data(path: Path) -> tuple[str, Any]:
    """The call that a data file makes, and what it is given."""
    call, arguments = path.read_text("ascii").split("(", 1)
    number, comma, told = arguments.partition(",") if call == "take" else ("", "", arguments)
    assert told.endswith(");\n")
    return f"{call}({number}{comma}", json.loads(told[:-3])


def test_every_row_is_there_in_chunks_of_a_hundred(tmp_path: Path) -> None:
    folder = write(tmp_path / "page", rows(2 * CHUNK_ROWS + 1))
    call, index = data(folder / "data" / "index.js")
    assert call == "begin("
    assert index["policies"] == list(POLICIES)
    assert index["rows"]["index"] == [str(number) for number in range(2 * CHUNK_ROWS + 1)]
    assert index["rows"]["verdicts"][:2] == [["?+", "?+"], ["?-", "  "]]
    chunks = [data(folder / "data" / f"{number:05}.js") for number in range(3)]
    assert [(call, len(told)) for call, told in chunks] == [("take(0,", 100), ("take(1,", 100), ("take(2,", 1)]
    first = chunks[0][1][0]
    assert [piece[0] for piece in first["answers"][0]["pieces"]] == ["header", "description", "header", "answer"]
    assert first["answers"][0]["rulings"]["paper"] == ["", False, "no number", "unresolved"]
    assert chunks[0][1][1]["answers"][1] is None


def test_a_picture_is_written_once_and_what_is_none_is_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "page", rows(6))
    names = data(folder / "data" / "index.js")[1]["rows"]["picture"]
    assert [(folder / name).read_bytes() for name in names] == [picture(number // 2) for number in range(6)]
    assert len(list((folder / "pictures").rglob("*.png"))) == 3
    broken = RowView("mme", "0", "", "?", "?", (), "Yes", (b"no picture",), (None,))
    told = write(tmp_path / "broken", iter([broken]))
    assert data(told / "data" / "00000.js")[1][0]["pictures"] == []


@pytest.mark.parametrize("text", [EVIL, "</script><script>alert(1)</script>", "=SUM(A1)", "\u2028 \ud800 \x00", "x" * 100_000])
def test_text_stays_text_whatever_it_holds(text: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "page", rows(2, text))
    for path in (folder / "data").iterdir():
        assert not re.search(r"[<>&]", path.read_text("ascii"))
    row = data(folder / "data" / "00000.js")[1][0]
    assert row["question"] == text
    runs = "".join(run for piece in row["answers"][0]["pieces"] for run, _ in piece[2])
    assert runs == text


def test_the_page_runs_its_own_script_and_asks_no_network(tmp_path: Path) -> None:
    page = Page((write(tmp_path / "page", rows(1)) / PAGE).read_text("utf-8"))
    assert page.open == []
    policy = next(attributes["content"] or "" for tag, attributes in page.elements if tag == "meta" and "http-equiv" in attributes)
    own = next(text for attributes, text in page.scripts if "src" not in attributes)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"https?:", policy)
    assert [attributes["src"] for tag, attributes in page.elements if tag == "script" and "src" in attributes] == ["data/index.js"]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|fetch\(|https?://", own)
    assert EVIL.encode("utf-8", "replace").decode() in " ".join(page.texts)


def test_the_same_rows_give_the_same_page(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a", rows(3)), write(tmp_path / "b", rows(3))
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file())
    assert [(first / name).read_bytes() for name in names] == [(second / name).read_bytes() for name in names]
