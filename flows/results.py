"""What a pipeline run came to: one small JSON file a run, the table a person reads, and `r1vl results --json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tasks.files import write_atomically
from tasks.store import Artifact

WRONG_INPUT = "Wrong input"
"""Name of the failed state of a flow run that ended with a mistake of the user's."""

POLICIES = {"warmup": "warm-up", "stepgrpo": "StepGRPO"}
"""The two policies that are compared, by the names results.json gives them, with the names people read."""


@dataclass(frozen=True)
class StageOutcome:
    """One stage of a run: `state` is "built" or "cached", `seconds` what it took in this run.

    >>> StageOutcome("cached", 0.4, "3f2a", "9bc1").state
    'cached'
    """

    state: str
    seconds: float
    key: str
    digest: str
    mlflow_url: str | None = None


@dataclass(frozen=True)
class RunResult:
    """A pipeline run, whole or up to a stage. `scores` holds evaluate's summary of each policy, by name; `report` is the page's path.

    >>> RunResult("1", "tiny", 0, "COMPLETED", {"curate": StageOutcome("built", 3.2, "3f2a", "9bc1")}).stages["curate"].seconds
    3.2
    """

    run_id: str
    preset: str
    seed: int
    state: str
    stages: Mapping[str, StageOutcome]
    scores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    report: str | None = None
    mlflow_url: str | None = None

    def as_plain(self) -> dict[str, Any]:
        """The JSON object that `r1vl results --json` prints; the scores stand at the top, under the policies' names."""
        rest = asdict(self)
        scores = rest.pop("scores")
        return {**scores, **rest}

    @classmethod
    def from_plain(cls, table: Mapping[str, Any]) -> RunResult:
        """The result that `as_plain` described. Raises KeyError or TypeError for anything else."""
        rest = dict(table)
        scores = {name: rest.pop(name) for name in POLICIES if name in rest}
        stages = {name: StageOutcome(**stage) for name, stage in rest.pop("stages").items()}
        return cls(stages=stages, scores=scores, **rest)


def save_result(root: Path, result: RunResult, *, is_last: bool) -> Path:
    """Keep the result under root/runs; `is_last` makes it the one that `r1vl results` shows."""
    folder = root / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result.as_plain(), indent=1)
    write_atomically(folder / f"{result.run_id}.json", text)
    if is_last:
        write_atomically(folder / "last.json", text)
    return folder / f"{result.run_id}.json"


def read_result(root: Path, run_id: str = "last") -> RunResult:
    """The last result, or that of one run. Raises ValueError when there is none, or when the file is no result."""
    path = root / "runs" / f"{run_id}.json"
    try:
        return RunResult.from_plain(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        files = sorted(path.parent.glob("*.json"), key=lambda each: each.stat().st_mtime, reverse=True)
        known = [each.stem for each in files if each.stem != "last"]
        if not known:
            raise ValueError(f"no run has a result under {root}; run the pipeline first: `r1vl run tiny` or `make run`") from None
        if run_id == "last":
            newest = f"of those up to a stage, the newest is {known[0]}: `r1vl results --run {known[0]}`"
            raise ValueError(f"no run of the whole pipeline under {root}; {newest}") from None
        raise ValueError(f"--run {run_id}: no run of this id under {root}; the newest are {', '.join(known[:3])}, or last") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no result of ours ({error}); run the pipeline again") from None


def scores_of(evaluation: Artifact) -> dict[str, dict[str, Any]]:
    """The summary of each policy on the held-out questions; "partial" where not all of them were asked."""
    from tasks.evaluate import SUMMARY  # with it come the libraries of the data wing, which `r1vl results` does not need

    table = json.loads((evaluation.path / SUMMARY).read_text(encoding="utf-8"))
    return {name: {**table[name], "partial": table["partial"] is not None} for name in POLICIES}


def print_result(console: Console, result: RunResult, links: Mapping[str, str]) -> None:
    """The final table: both policies, then the stages, then where to look further."""
    if result.scores:
        console.print(_scores_table(result))
    console.print(_stages_table(result))
    for name, link in links.items():
        console.print(f"  {name:<8} {link}", soft_wrap=True, highlight=False)


def _scores_table(result: RunResult) -> Table:
    table = Table(title=f"Held-out questions, preset {result.preset}, seed {result.seed}", title_justify="left")
    for name in ("policy", "accuracy", "95 % interval", "asked", "mean\nStepRAR", "mean\nStepRVR", "cut\noff"):
        table.add_column(name, justify="left" if name == "policy" else "right", no_wrap=True)
    for name, shown in POLICIES.items():
        if name in result.scores:
            score = result.scores[name]
            low, high = score["interval"]
            means = [_number(score.get(mean)) for mean in ("mean_step_rar", "mean_step_rvr")]
            questions = f"{score['num_questions']}" + (" (partial)" if score.get("partial") else "")
            table.add_row(
                shown,
                _percent(score["accuracy"]),
                f"{100 * low:.1f} – {_percent(high)}",
                questions,
                *means,
                _percent(score.get("share_truncated")),
            )
    return table


def _stages_table(result: RunResult) -> Table:
    table = Table(title="Stages", title_justify="left")
    for name in ("stage", "state", "seconds", "digest"):
        table.add_column(name, justify="right" if name == "seconds" else "left")
    for name, stage in result.stages.items():
        table.add_row(name, stage.state, f"{stage.seconds:.1f}", stage.digest[:12])
    table.add_section()
    table.add_row("total", "", f"{sum(stage.seconds for stage in result.stages.values()):.1f}", "")
    return table


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
