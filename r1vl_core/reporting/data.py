"""What the report page shows: plain frozen values that the report stage fills in and `page.render_report` draws."""

from __future__ import annotations

from dataclasses import dataclass

from r1vl_core.evaluation.statistics import PairedComparison
from r1vl_core.records import ScoredResponse, SourceCount
from r1vl_core.report import Report


@dataclass(frozen=True, slots=True)
class StageRow:
    """One stage the page stands on: when it was made (UTC), in how many `seconds`, and the `key` of its recipe.

    >>> StageRow("warmup", "2026-11-22 21:04", 61.5, "9f2c").seconds
    61.5
    """

    name: str
    made: str
    seconds: float
    key: str


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """One policy on the held-out rows. `families` are (name, number right, number of questions); the means are None when not measured.

    >>> PolicyResult("warm-up", 53, 100, (("sum", 53, 100),)).num_correct
    53
    """

    name: str
    num_correct: int
    num_questions: int
    families: tuple[tuple[str, int, int], ...]
    mean_step_rar: float | None = None
    mean_step_rvr: float | None = None
    mean_num_tokens: float | None = None
    share_truncated: float | None = None


@dataclass(frozen=True, slots=True)
class RejectReason:
    """How many records were rejected for one reason, with one of them as it was.

    >>> RejectReason("small_image", 12, "world", 7, "20 x 20 pixels", "{}").num_records
    12
    """

    reason: str
    num_records: int
    example_source: str
    example_row: int
    example_detail: str
    example_raw: str


@dataclass(frozen=True, slots=True)
class KeyStepsRow:
    """Questions with key steps, their mean number, questions without any, and from whom they are (`by`, empty where all by rules).

    >>> KeyStepsRow(90, 4.2, 10, (("teacher", 80), ("rules", 10))).num_without
    10
    """

    num_questions: int
    mean: float
    num_without: int
    by: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Curation:
    """Records read, questions accepted, and the reasons of the others, the commonest first; where they come from, and their key steps.

    `num_set_aside` of the questions accepted are for validation.

    >>> Curation(num_records=10, num_accepted=10).rejects
    ()
    """

    num_records: int
    num_accepted: int
    rejects: tuple[RejectReason, ...] = ()
    sources: tuple[SourceCount, ...] = ()
    key_steps: KeyStepsRow | None = None
    num_set_aside: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """Characters `start` to `end` of a path's text match key step number `key_step` (from 0) in this `form`.

    >>> Mark(0, 12, 23, "6 / 3 = 2").end
    23
    """

    key_step: int
    start: int
    end: int
    form: str


@dataclass(frozen=True, slots=True)
class PathView:
    """One sampled path with its rewards; `marks` are spans into `text`, `missed` the key steps (from 0) it lacks.

    >>> PathView(text="…", step_rar=1.1, step_rvr=1.0, advantage=0.5, k=1.0, verdict="correct", answer="2").reward
    2.1
    """

    text: str
    step_rar: float
    step_rvr: float
    advantage: float
    k: float
    verdict: str
    answer: str
    marks: tuple[Mark, ...] = ()
    missed: tuple[int, ...] = ()
    num_tokens: int = 0
    truncated: bool = False

    @property
    def reward(self) -> float:
        """StepRAR + StepRVR."""
        return self.step_rar + self.step_rvr


@dataclass(frozen=True, slots=True)
class GroupView:
    """The paths sampled for one question at one step, with the question itself; `image` is PNG or JPEG bytes.

    >>> GroupView(step=1, question_id="q1", family="sum", question="2 + 2?", choices=(), gold="4", key_steps=(), image=b"", paths=()).step
    1
    """

    step: int
    question_id: str
    family: str
    question: str
    choices: tuple[tuple[str, str], ...]
    gold: str
    key_steps: tuple[tuple[str, ...], ...]
    image: bytes
    paths: tuple[PathView, ...]


@dataclass(frozen=True, slots=True)
class HeldOutView:
    """One held-out question with the responses of the policies, in the order of `ReportData.policies`.

    >>> HeldOutView(index="7", family="sum", question="2 + 2?", choices=(), gold="4", image=b"", responses=()).index
    '7'
    """

    index: str
    family: str
    question: str
    choices: tuple[tuple[str, str], ...]
    gold: str
    image: bytes
    responses: tuple[ScoredResponse, ...]


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything on the page. `notes` are shown on top (such as "partial: the first 100 of 600 rows").

    `policies` and each `HeldOutView.responses` stand in the same order, the warm-up policy first; `comparison` is the second policy
    against the first; `reports` are StepGRPO's, `warmup_reports` the warm-up's, both in order of their steps.

    >>> ReportData(preset="tiny", description="", seed=0, created="2026-11-22 17:00 UTC", stages=(), policies=(), comparison=None).groups
    ()
    """

    preset: str
    description: str
    seed: int
    created: str
    stages: tuple[StageRow, ...]
    policies: tuple[PolicyResult, ...]
    comparison: PairedComparison | None
    reports: tuple[Report, ...] = ()
    warmup_reports: tuple[Report, ...] = ()
    curation: Curation | None = None
    groups: tuple[GroupView, ...] = ()
    heldout: tuple[HeldOutView, ...] = ()
    num_heldout_total: int | None = None
    notes: tuple[str, ...] = ()
