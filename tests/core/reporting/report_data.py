"""A small report whose every text tries to get out of its place."""

from __future__ import annotations

import base64
import io

from PIL import Image

from r1vl_core.evaluation.statistics import compare_paired
from r1vl_core.reasoning.paths import render
from r1vl_core.records import ScoredResponse, SourceCount
from r1vl_core.report import Report
from r1vl_core.reporting.data import (
    Curation,
    GroupView,
    HeldOutView,
    KeyStepsRow,
    Mark,
    PathView,
    PolicyResult,
    RejectReason,
    ReportData,
    StageRow,
)

EVIL = '</script><script>evil()</script><img src=x onerror=evil()> " onload="evil() \' {{ 7 * 7 }} &lt; ]]> --> \u2028 \ud800 🖐'
PATH = render("A board.", f"Add {EVIL}.", ["1 + 2 = 3"], "3")


def png(size: tuple[int, int] = (56, 56)) -> bytes:
    """A picture as PNG bytes."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def png_uri() -> str:
    """The data: URI of `png()`."""
    return f"data:image/png;base64,{base64.b64encode(png()).decode()}"


def path_view(verdict: str = "correct") -> PathView:
    """The evil path, its step matched."""
    start = PATH.index("1 + 2 = 3")
    return PathView(PATH, 1.1, 1.0, 0.5, 1.0, verdict, "3", (Mark(0, start, start + 9, "1 + 2 = 3"),), (1,), 40)


def group(step: int, verdicts: tuple[str, ...]) -> GroupView:
    """A group with a path of each verdict."""
    paths = tuple(path_view(verdict) for verdict in verdicts)
    return GroupView(step, f"q{step}", EVIL, EVIL, (("A", EVIL),), EVIL, (("1 + 2 = 3", EVIL), (EVIL,)), png(), paths)


def held_out(index: str, verdicts: tuple[str, ...]) -> HeldOutView:
    """A row with a response of each verdict."""
    responses = tuple(ScoredResponse(index, EVIL, PATH, EVIL, EVIL, verdict, EVIL, 40, truncated=True) for verdict in verdicts)
    return HeldOutView(index, EVIL, EVIL, (("A", EVIL),), EVIL, png(), responses)


def report_data() -> ReportData:
    """Everything a report can hold."""
    metrics = {"reward": 1.5, "step_rar": 0.6, "step_rvr": 0.9, "k": 0.5, "kl": float("nan"), "mean_tokens": 80.0}
    reports = tuple(Report(step, 30, {**metrics, "reward": 1.5 + step / 100}) for step in range(1, 31))
    return ReportData(
        preset=EVIL,
        description=EVIL,
        seed=3,
        created=EVIL,
        stages=(StageRow(EVIL, EVIL, 75.0, "ab" * 32), StageRow("evaluate", "2026-11-22 21:04", 0.02, EVIL)),
        policies=(PolicyResult("warm-up", 1, 3, ((EVIL, 1, 3),)), PolicyResult(EVIL, 2, 3, ((EVIL, 2, 3),), 0.7, 0.9, 80.0, 0.01)),
        comparison=compare_paired({"1": True, "2": False, "3": False}, {"1": True, "2": True, "3": False}),
        reports=reports,
        warmup_reports=(Report(1, 1, {"loss": 2.0}),),
        curation=Curation(
            10,
            7,
            (RejectReason(EVIL, 3, EVIL, 4, EVIL, EVIL * 100),),
            (SourceCount(EVIL, EVIL, EVIL, 0.5, 5, 3), SourceCount("web", "web.json", "", 1.0, 2, 0)),
            KeyStepsRow(6, 4.25, 1, ((EVIL, 4), ("rules", 2))),
            num_set_aside=2,
        ),
        groups=(group(1, ("correct", "correct")), group(2, ("correct", "wrong")), group(3, ("wrong", "timeout"))),
        heldout=(held_out("1", ("correct", "correct")), held_out("2", ("wrong", "correct")), held_out("3", ("correct", "absent"))),
        num_heldout_total=600,
        notes=(EVIL,),
    )
