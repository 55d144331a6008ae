"""What the page is made of: sections and marks, charts, pictures, filters."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from r1vl_core.reasoning.paths import render
from r1vl_core.report import Report
from r1vl_core.reporting import charts
from r1vl_core.reporting.data import Mark
from r1vl_core.reporting.payload import payload
from r1vl_core.reporting.pictures import LARGEST_EMBEDDED, data_uri
from r1vl_core.reporting.segments import cut
from tests.core.reporting.report_data import png, png_uri, report_data

PATH = render("A board 🖐.", "Add.", ["1 + 2 = 3", "3 + 4 = 7"], "7")


def test_a_path_is_cut_at_its_sections() -> None:
    pieces = cut(PATH)
    assert [piece.label for piece in pieces if piece.label] == ["Description", "Rationale", "Step 1", "Step 2", "Answer"]
    assert {piece.kind for piece in pieces if not piece.label} == {"header"}


def test_marks_are_where_they_say_and_may_overlap() -> None:
    at = PATH.index("1 + 2 = 3")
    pieces = cut(PATH, [Mark(0, at, at + 9, "1 + 2 = 3"), Mark(2, at + 8, at + 9, "3")])
    (step,) = [piece for piece in pieces if piece.label == "Step 1"]
    assert step.runs == (("1 + 2 = ", (0,)), ("3", (0, 2)))


@given(
    st.lists(st.sampled_from(["### Step 1:", "### Rationales: x", "### The final answer is:", "### Image Description:", "\n", "7", " 🖐 "])),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), max_size=4),
)
def test_nothing_of_a_response_is_lost(parts: list[str], spans: list[tuple[int, int]]) -> None:
    text = "".join(parts)
    marks = [Mark(i, start, start + length, "") for i, (start, length) in enumerate(spans)]
    assert "".join(run for piece in cut(text, marks) for run, _ in piece.runs) == text


def test_text_outside_every_section_is_stray() -> None:
    pieces = cut("Well, 7.\n### Step 1: x\n### Step one: y")
    assert [piece.kind for piece in pieces] == ["stray", "header", "step"]
    twice = cut("### Rationales: x\n### Rationales:\ny\n### Step 1: z")
    assert [piece.kind for piece in twice] == ["header", "rationale", "header", "stray", "header", "step"]


def test_ticks_are_round_and_hold_the_values() -> None:
    draws = random.Random(4)
    for _ in range(200):
        low = draws.uniform(-1, 1) * 10 ** draws.randint(-6, 6)
        high = low + abs(draws.gauss(0, 1)) * 10 ** draws.randint(-6, 6)
        ticks = charts.nice_ticks(low, high, 4)
        rounding = 1e-8 * (ticks[1] - ticks[0])
        assert ticks[0] <= low + rounding
        assert ticks[-1] >= high - rounding
        assert 2 <= len(ticks) <= 7


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0], [5.0] * 40, [1e-9, 1e9], [-3.0, 3.0]])
def test_every_line_stays_inside_its_chart(values: list[float]) -> None:
    drawing = charts.draw("Loss", "", (charts.Line("loss", tuple((float(step), value) for step, value in enumerate(values, 1))),))
    for polyline in (*drawing.raw, *drawing.smooth):
        for x, y in (map(float, point.split(",")) for point in polyline.split()):
            assert charts.LEFT <= x <= charts.WIDTH - charts.RIGHT
            assert charts.TOP - 0.01 <= y <= charts.HEIGHT - charts.BOTTOM + 0.01


def test_a_metric_that_is_no_number_is_left_out() -> None:
    reports = [Report(1, 3, {"kl": 0.5}), Report(2, 3, {"kl": float("nan")}), Report(3, 3, {"kl": float("inf")}), Report(4, 4, {})]
    assert charts.lines_of(reports, {"kl": "KL", "loss": "loss"}) == (charts.Line("KL", ((1.0, 0.5),)),)


def test_the_moving_mean_is_centred() -> None:
    points = tuple((float(step), float(step)) for step in range(1, 8))
    assert charts.moving_mean(points, 3) == ((1, 1.5), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 6.5))


def test_a_large_picture_is_embedded_smaller() -> None:
    buffer = io.BytesIO()
    Image.frombytes("RGB", (900, 300), random.Random(1).randbytes(900 * 300 * 3)).save(buffer, "PNG")
    assert len(buffer.getvalue()) > LARGEST_EMBEDDED
    uri = data_uri(buffer.getvalue())
    assert uri.startswith("data:image/jpeg;base64,")
    assert len(uri) < len(buffer.getvalue())


@pytest.mark.parametrize("image", [b"", b"hello", b"<svg onload='evil()'/>", png()[:40].replace(b"PNG", b"XXX")])
def test_what_is_no_picture_is_not_shown(image: bytes) -> None:
    assert data_uri(image) == ""


def test_a_small_picture_is_embedded_as_it_is() -> None:
    assert data_uri(png()) == png_uri()


def test_items_can_be_filtered_by_step_outcome_family_and_change() -> None:
    found = payload(report_data())
    assert [item["facets"]["outcome"] for item in found["groups"]["items"]] == [["all-right"], ["mixed"], ["all-wrong"]]
    assert [item["facets"]["step"] for item in found["groups"]["items"]] == [["1"], ["2"], ["3"]]
    assert [item["facets"]["outcome"] for item in found["heldout"]["items"]] == [
        ["right-0", "right-1"],
        ["wrong-0", "right-1", "changed", "gained"],
        ["right-0", "wrong-1", "changed", "lost"],
    ]
    for browser in ("groups", "heldout"):
        options = {facet["key"]: {value for value, _ in facet["options"]} for facet in found[browser]["facets"]}
        for item in found[browser]["items"]:
            assert all(set(values) <= options[key] for key, values in item["facets"].items())


@pytest.mark.parametrize("height", [1.0, 0.4, 0.0, 1e-5])
def test_noise_on_a_flat_line_is_drawn_flat(height: float) -> None:
    draws = random.Random(2)
    points = tuple((float(step), height + 1e-9 * draws.random()) for step in range(1, 41))
    drawing = charts.draw("Entropy", "", (charts.Line("entropy", points),), 0.01)
    ys = [float(point.split(",")[1]) for point in drawing.raw[0].split()]
    assert max(ys) - min(ys) < 0.5


def test_what_differs_fills_the_chart() -> None:
    drawing = charts.draw("Reward", "", (charts.Line("reward", tuple((float(step), step / 40) for step in range(1, 41))),), 0.05)
    ys = [float(point.split(",")[1]) for point in drawing.raw[0].split()]
    assert max(ys) - min(ys) > 0.9 * (charts.HEIGHT - charts.TOP - charts.BOTTOM)
