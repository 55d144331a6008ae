"""The report as one self-contained HTML page: style, scripts, charts and pictures inside, no network, nothing unescaped.

The template escapes every value; the browsers' items travel as JSON that cannot end its element; scripts only ever set text, never
markup; and a content security policy lets no other script run, so that a policy's response stays text whatever it holds.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from r1vl_core.evaluation.comparison import claim, p_in_words
from r1vl_core.evaluation.statistics import PairedComparison, wilson_interval
from r1vl_core.report import Report
from r1vl_core.reporting import charts
from r1vl_core.reporting.curves import STEPGRPO_CURVES, WARMUP_CURVES, Curve
from r1vl_core.reporting.data import Curation, PolicyResult, ReportData
from r1vl_core.reporting.payload import embedded_json

SCRIPTS = ("dom.js", "charts.js", "browser.js", "items.js", "main.js")
"""The page's scripts, run in this order as one."""


def render_report(data: ReportData) -> str:
    """Draw the page; the same data give the same text. Write it as UTF-8."""
    script = _script()
    page = (
        environment()
        .get_template("page.html")
        .render(
            data=data,
            style=Markup(asset("style.css")),
            script=Markup(script),
            script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            payload=Markup(embedded_json(data)),
            policies=[_policy(policy) for policy in data.policies],
            comparison=_comparison(data, data.comparison) if data.comparison else None,
            families=_families(data.policies),
            stepgrpo_charts=_charts(data.reports, STEPGRPO_CURVES),
            warmup_charts=_charts(data.warmup_reports, WARMUP_CURVES),
            curation=_curation(data.curation) if data.curation else None,
            geometry=charts,
        )
    )
    # Half a surrogate pair in a response has no UTF-8 spelling; the page shows a question mark there.
    return page.encode("utf-8", "replace").decode()


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage without its sign.

    >>> percent(0.5)
    '50.0'
    """
    return f"{100 * share:.{digits}f}"


def seconds(value: float) -> str:
    """A duration as a reader wants it.

    >>> seconds(0.04), seconds(12.3), seconds(75), seconds(7260)
    ('0.04 s', '12.3 s', '1 min 15 s', '2 h 1 min')
    """
    if value < 60:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _policy(policy: PolicyResult) -> dict[str, Any]:
    interval = wilson_interval(policy.num_correct, policy.num_questions)
    share = policy.num_correct / policy.num_questions if policy.num_questions else 0.0
    return {"result": policy, "accuracy": share, "low": interval.low, "high": interval.high}


def _comparison(data: ReportData, comparison: PairedComparison) -> dict[str, Any]:
    first, second = data.policies[0].name, data.policies[1].name
    statement = claim(first, second, comparison.difference, comparison.p_value)
    return {"table": comparison, "statement": f"{statement} on these rows.", "first": first, "second": second}


def _families(policies: tuple[PolicyResult, ...]) -> list[dict[str, Any]]:
    counts = [{name: (right, total) for name, right, total in policy.families} for policy in policies]
    rows = []
    for family in sorted({name for table in counts for name in table}):
        bars = []
        for policy, table in zip(policies, counts, strict=True):
            right, total = table.get(family, (0, 0))
            interval = wilson_interval(right, total)
            share = right / total if total else 0.0
            bars.append({"name": policy.name, "right": right, "total": total, "share": share, "low": interval.low, "high": interval.high})
        rows.append({"name": family, "bars": bars})
    return rows


def _charts(reports: tuple[Report, ...], curves: tuple[Curve, ...]) -> list[charts.Drawing]:
    found = [(curve, charts.lines_of(reports, curve.metrics)) for curve in curves]
    return [charts.draw(curve.title, curve.note, lines, curve.least) for curve, lines in found if lines]


def _curation(curation: Curation) -> dict[str, Any]:
    most = max([reject.num_records for reject in curation.rejects], default=1)
    return {"table": curation, "num_rejected": curation.num_records - curation.num_accepted, "most": most}


def _script() -> str:
    return "(() => {\n'use strict';\n" + "\n".join(asset(name) for name in SCRIPTS) + "\n})();\n"


def asset(name: str) -> str:
    """The text of one of the page's files."""
    return (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")


@functools.cache
def environment() -> jinja2.Environment:
    """Templates that escape every value, with the filters percent, seconds and p_value."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(percent=percent, seconds=seconds, p_value=p_in_words)
    return environment
