"""The audit of the rewards as one self-contained HTML page: tables and bars, no script, no network."""

from __future__ import annotations

from markupsafe import Markup

from r1vl_core.evaluation.statistics import wilson_interval
from r1vl_core.reasoning.audit import Audit
from r1vl_core.reporting.page import asset, environment

ALLOWED = 0.02
"""Share of attacked paths that may win under "strict"."""


def render_audit(audit: Audit, created: str) -> str:
    """Draw the page; the same audit gives the same text. Write it as UTF-8."""
    page = (
        environment()
        .get_template("audit.html")
        .render(
            audit=audit,
            created=created,
            style=Markup(asset("style.css")),
            attacks=_attacks(audit),
            allowed=ALLOWED,
            measures=(("k", "k, key steps matched"), ("step_rvr", "StepRVR"), ("total", "total reward")),
        )
    )
    return page.encode("utf-8", "replace").decode()


def _attacks(audit: Audit) -> list[dict[str, object]]:
    """One row an attack, with a bar for each hardening; those that fool the first hardening most come first."""
    rows = []
    for results in zip(*(found.attacks for found in audit.attacked.values()), strict=True):
        bars = []
        for hardening, result in zip(audit.attacked, results, strict=True):
            interval = wilson_interval(result.num_wins, result.num_paths)
            bars.append({"name": hardening, "result": result, "low": interval.low, "high": interval.high})
        rows.append({"name": results[0].name.replace("_", " "), "about": results[0].about, "bars": bars, "share": results[0].share})
    return sorted(rows, key=lambda row: -row["share"])
