"""The page is one file, whole, and text on it stays text."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from r1vl_core.report import Report
from r1vl_core.reporting.data import ReportData
from r1vl_core.reporting.page import render_report
from tests.core.reporting.report_data import EVIL, png_uri, report_data

VOID = {"meta", "line", "rect", "circle", "polyline", "br", "img", "input"}


class Page(HTMLParser):
    """Elements, attributes and texts of a page; refuses an element that is closed out of turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append((self.elements[-1][1], data))
        else:
            self.texts.append(data)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_report(report_data()))


def test_every_element_is_closed_in_turn(page: Page) -> None:
    assert page.open == []


def test_hostile_texts_make_no_element_and_no_handler(page: Page) -> None:
    assert len(page.scripts) == 2
    assert [tag for tag, _ in page.elements if tag in ("img", "iframe", "object", "embed", "base", "form")] == []
    assert [name for _, attributes in page.elements for name in attributes if name.startswith("on")] == []


def test_hostile_texts_are_shown_as_they_are(page: Page) -> None:
    shown = EVIL.replace("\ud800", "?")
    assert any(shown in text for text in page.texts)
    items = json.loads(page.scripts[0][1])
    assert items["groups"]["items"][0]["question"] == EVIL
    assert "".join(run for _, _, runs in items["heldout"]["items"][0]["responses"][0]["pieces"] for run, _ in runs).count(EVIL) == 1


def test_the_data_block_holds_no_markup_character(page: Page) -> None:
    attributes, text = page.scripts[0]
    assert attributes["type"] == "application/json"
    assert not set("<>&\u2028\u2029") & set(text)
    assert text.isascii()


def test_nothing_is_fetched(page: Page) -> None:
    for tag, attributes in page.elements:
        assert tag not in ("link", "source", "video", "audio", "use")
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert re.findall(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", render_report(report_data())) == []


def test_no_resource_has_a_network_address() -> None:
    assert re.findall(r"(?:https?:)?//[a-z0-9.]+\.[a-z]", render_report(report_data())) == []


def test_the_policy_allows_exactly_our_script(page: Page) -> None:
    (policy,) = [a["content"] for tag, a in page.elements if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(page.scripts[1][1].encode()).digest()).decode()
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_the_scripts_set_text_and_never_markup(page: Page) -> None:
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", page.scripts[1][1]) == []


def test_pictures_are_stored_once(page: Page) -> None:
    items = json.loads(page.scripts[0][1])
    assert list(items["images"].values()) == [png_uri()]


def test_the_result_stands_on_the_page(page: Page) -> None:
    text = " ".join(" ".join(page.texts).split())
    assert "33.3" in text
    assert "66.7" in text
    assert "+33.3" in text
    assert "No clear difference between warm-up and" in text
    assert "1 min 15 s" in text
    assert "of 600 held-out questions" in text


def test_sources_stand_on_the_page_with_their_licence_and_so_do_key_steps() -> None:
    text = render_report(report_data())
    assert "<td>web</td><td>web.json</td><td>–</td>" in text
    assert "<strong>6</strong> questions have key steps, 4.2 on average (by " in text
    assert "2 of them set aside for validation" in text


def test_the_same_data_give_the_same_page() -> None:
    assert render_report(report_data()) == render_report(report_data())


def test_a_page_can_be_written_as_utf8() -> None:
    assert "�" not in render_report(report_data()).encode("utf-8").decode("utf-8")


def test_a_report_of_almost_nothing_is_a_page() -> None:
    data = ReportData(preset="tiny", description="", seed=0, created="", stages=(), policies=(), comparison=None)
    page = Page(render_report(data))
    assert page.open == []
    assert not {"groups", "heldout", "training", "families"} & {attributes.get("id") for _, attributes in page.elements}


def test_one_policy_alone_is_a_page() -> None:
    data = report_data()
    heldout = tuple(dataclasses.replace(view, responses=view.responses[:1]) for view in data.heldout)
    alone = dataclasses.replace(data, policies=data.policies[:1], comparison=None, heldout=heldout)
    assert Page(render_report(alone)).open == []


def test_curves_that_were_recorded_are_drawn_and_lines_drawn_together_are_named() -> None:
    metrics = {"groups_sampled": 9.0, "groups_skipped": 2.0, "image_gain": 0.4, "validation_accuracy": 0.5}
    data = dataclasses.replace(report_data(), reports=tuple(Report(step, 4, metrics) for step in range(1, 5)))
    text = " ".join(Page(render_report(data)).texts)
    for title in ("Image gain", "Right answers in validation", "left out of the update"):
        assert title in text
    assert "Image gain" not in " ".join(Page(render_report(report_data())).texts)
