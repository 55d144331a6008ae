"""The toolkit's TSV: what is written is read back, what the toolkit's files hold is understood, what is malformed is named."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from r1vl_core.evaluation.benchmarks.tsv import read_cells, read_texts, read_tsv, read_unseen, write_tsv
from r1vl_core.records import BenchmarkRow

NASTY = ['tab\there "quoted"', "line\nbreak\r\nand\rreturn", "None", "NA", "nan", " blanks ", '""', "=1+1", "ümläut 数字 🖐", "'", "\\n\\t"]


def picture(colour: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (28, 28), (colour, 0, 255 - colour)).save(buffer, "PNG")
    return buffer.getvalue()


def row(index: str, **changes: object) -> BenchmarkRow:
    cells = {"question": "How many?", "choices": (), "answer": "3", "category": "count", "image": picture(7)}
    return BenchmarkRow(index=index, **{**cells, **changes})  # type: ignore[arg-type]


def encoded(colour: int) -> str:
    return base64.b64encode(picture(colour)).decode()


def write_lines(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    return path


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [
        row(f"r{i}", question=text, answer=text, category=text, choices=(("A", text), ("C", "None")), image=picture(i))
        for i, text in enumerate(NASTY)
    ]
    assert write_tsv(tmp_path / "b.tsv", [*rows, row("plain")]) == len(NASTY) + 1
    assert list(read_tsv(tmp_path / "b.tsv")) == [*rows, row("plain")]


def test_every_cell_is_quoted_and_the_columns_are_the_toolkits(tmp_path: Path) -> None:
    write_tsv(tmp_path / "b.tsv", [row("0", choices=(("A", "x"), ("B", "y")))])
    header, line = (tmp_path / "b.tsv").read_text(encoding="utf-8").splitlines()
    assert header == "\t".join(f'"{name}"' for name in ("index", "question", "image", "answer", "category", "A", "B", "C", "D"))
    assert all(cell.startswith('"') and cell.endswith('"') for cell in line.split("\t"))


def test_a_short_image_cell_is_another_rows_index(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "b.tsv",
        "index\timage\tquestion\tanswer",
        "up\tdown\tq\ta",
        f"0\t{encoded(1)}\tq\ta",
        "1\t0\tq\ta",
        f"down\t{encoded(2)}\tq\ta",
        "2\t0\tq\ta",
    )
    assert [found.image for found in read_tsv(path)] == [picture(2), picture(1), picture(1), picture(2), picture(1)]


def test_a_list_of_one_picture_and_a_wrapped_picture_are_pictures(tmp_path: Path) -> None:
    wrapped = encoded(3)[:70] + "\n" + encoded(3)[70:]
    path = write_lines(tmp_path / "b.tsv", "index\timage\tquestion\tanswer", f"0\t['{encoded(3)}']\tq\ta", f'1\t"{wrapped}"\tq\ta')
    assert [found.image for found in read_tsv(path)] == [picture(3), picture(3)]


def test_rows_without_picture_are_dropped_but_their_cells_are_readable(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "b.tsv", "index\timage\tquestion\tanswer", "0\t\tq\ta", f"1\t{encoded(1)}\tq\ta")
    assert [found.index for found in read_tsv(path)] == ["1"]
    assert [cells["index"] for cells in read_cells(path)] == ["0", "1"]


def test_what_must_stay_unseen_needs_no_answer_and_is_every_picture(tmp_path: Path) -> None:
    cells = [f"1\tHow many?\t{encoded(1)}\t", f"2\tWhich?\t['{encoded(2)}', '{encoded(3)}']\tZ", "3\tWhat?\t1\t", "4\tWhy?\t\tA"]
    file = write_lines(tmp_path / "hidden.tsv", "index\tquestion\timage\tanswer", *cells)
    found = [(row.index, row.question, row.image) for row in read_unseen(file)]
    asked = {"1": ("How many?", (1,)), "2": ("Which?", (2, 3)), "3": ("What?", (1,))}
    assert found == [(index, text, picture(colour)) for index, (text, colours) in asked.items() for colour in colours]
    bare = write_lines(tmp_path / "bare.tsv", "index\tquestion\timage", f"1\tHow many?\t{encoded(1)}")
    assert [row.question for row in read_unseen(bare)] == ["How many?"]


def test_cells_longer_than_the_csv_modules_default_are_read(tmp_path: Path) -> None:
    big = row("0", image=bytes(range(256)) * 4096, question="q" * 300_000)
    write_tsv(tmp_path / "b.tsv", [big])
    assert list(read_tsv(tmp_path / "b.tsv")) == [big]


PICTURE = encoded(1)
MALFORMED = {
    "no such file": (None, "b.tsv"),
    "empty file": ((), "no column 'index'"),
    "no answer column": (("index\timage\tquestion", f"0\t{PICTURE}\tq"), "no column 'answer'"),
    "doubled column": (("index\timage\timage", "0\t1\t2"), "'image' occurs more than once"),
    "doubled index": (("index\timage\tquestion\tanswer", f"0\t{PICTURE}\tq\ta", f"0\t{PICTURE}\tq\ta"), "row 2, column 'index'.*row 1"),
    "empty index": (("index\timage\tquestion\tanswer", f"\t{PICTURE}\tq\ta"), "row 1, column 'index': empty"),
    "reference to nobody": (("index\timage\tquestion\tanswer", "0\t9\tq\ta"), "row 1 .*column 'image': '9' is neither"),
    "a cut off picture": (
        ("index\timage\tquestion\tanswer", "0\tiVBORw0KGgo=\tq\ta"),
        "'iVBORw0KGgo=' is neither a picture nor the index of a row",
    ),
    "reference to itself": (("index\timage\tquestion\tanswer", "0\t0\tq\ta"), "refers to row '0'"),
    "reference to a reference": (
        ("index\timage\tquestion\tanswer", f"0\t{PICTURE}\tq\ta", "1\t0\tq\ta", "2\t1\tq\ta"),
        "refers to row '1'",
    ),
    "reference to an empty cell": (("index\timage\tquestion\tanswer", "0\t\tq\ta", "1\t0\tq\ta"), "refers to row '0'"),
    "no base64": (("index\timage\tquestion\tanswer", f"0\t{'*' * 80}\tq\ta"), "row 1 .*column 'image': not base64"),
    "not a list": (("index\timage\tquestion\tanswer", f"0\t[{'(' * 9000}\tq\ta"), "row 1 .*column 'image': starts like a list"),
    "two pictures": (("index\timage\tquestion\tanswer", f"0\t['{PICTURE}', '{PICTURE}']\tq\ta"), "rows of one picture"),
    "too few cells": (("index\timage\tquestion\tanswer", f"0\t{PICTURE}\tq"), "row 1: 3 cells under 4 columns, column 'answer' is missing"),
    "too many cells": (("index\timage\tquestion\tanswer", f"0\t{PICTURE}\tq\ta\tb"), "row 1: 5 cells"),
    "open quote": (("index\timage\tquestion\tanswer", f'0\t{PICTURE}\t"q\ta'), "row 1: not a quoted"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_files_are_named_with_row_and_column(tmp_path: Path, name: str) -> None:
    lines, message = MALFORMED[name]
    if lines is not None:
        write_lines(tmp_path / "b.tsv", *lines)
    with pytest.raises(ValueError, match=message):
        list(read_tsv(tmp_path / "b.tsv"))


def test_what_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.tsv").write_bytes(b"index\timage\tquestion\tanswer\n0\t1\t\xff\xfe\ta\n")
    with pytest.raises(ValueError, match="not UTF-8"):
        list(read_tsv(tmp_path / "b.tsv"))


@pytest.mark.parametrize(
    ("bad", "column"),
    [
        (row("0"), "index"),
        (row(""), "index"),
        (row("1", choices=(("E", "x"),)), "E"),
        (row("1", choices=(("A", ""),)), "A"),
        (row("1", image=b"tiny"), "image"),
        (row("1", question="half \ud800"), "question"),
    ],
)
def test_rows_that_could_not_be_read_back_are_not_written(tmp_path: Path, bad: BenchmarkRow, column: str) -> None:
    with pytest.raises(ValueError, match=f"row 2 .*column '{column}'"):
        write_tsv(tmp_path / "b.tsv", [row("0"), bad])


@pytest.mark.parametrize(
    ("answer", "message"), [("", "empty; evaluation needs the right answer"), ("E", "answer 'E' is none of the choices A, B")]
)
def test_a_row_that_no_response_could_get_right_is_named(tmp_path: Path, answer: str, message: str) -> None:
    path = write_lines(tmp_path / "b.tsv", "index\timage\tquestion\tanswer\tA\tB", f"7\t{encoded(1)}\tq\t{answer}\t3\t4")
    with pytest.raises(ValueError, match=rf"row 1 \(index '7'\), column 'answer': {message}"):
        list(read_tsv(path))


def test_for_scoring_no_picture_is_held_and_references_are_checked_all_the_same(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "b.tsv",
        "index\timage\tanswer",
        "up\tdown\tNone",
        f"down\t{encoded(1)}\ta",
        f"list\t['{encoded(1)}', '{encoded(2)}']\ta",
        "bare\t\ta",
        "none\tNone\ta",
    )
    rows = list(read_texts(path, ("answer",)))
    assert [row["index"] for row in rows] == ["up", "down", "list", "bare", "none"]
    assert [row["answer"] for row in rows] == ["None", "a", "a", "a", "a"]
    assert max(len(row["image"]) for row in rows) == 64
    with pytest.raises(ValueError, match=r"row 2 \(index '1'\), column 'image': '9' is neither a picture nor the index of a row"):
        list(read_texts(write_lines(tmp_path / "c.tsv", "index\timage", f"0\t{encoded(1)}", "1\t9"), ()))


def test_for_scoring_names_of_pictures_are_enough(tmp_path: Path) -> None:
    assert len(list(read_texts(write_lines(tmp_path / "b.tsv", "index\timage_path", "0\t0.png"), ()))) == 1
    with pytest.raises(ValueError, match="no column 'image' or 'image_path'"):
        list(read_texts(write_lines(tmp_path / "c.tsv", "index\tanswer", "0\ta"), ()))
