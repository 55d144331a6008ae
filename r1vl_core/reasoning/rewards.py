"""The two rewards of StepGRPO, each alone: StepRAR (paper, equation 2) and StepRVR (paper, equation 3).

The answer is read from the answer section only, key steps from the steps only. Both rewards are total: any text has a reward.
Two definitions stand side by side: "none", the paper's, and "strict", which asks more of a path (`hardening`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from r1vl_core.config import Hardening
from r1vl_core.reasoning.answers import Gold, Verdict, VerdictName, judge, read_gold
from r1vl_core.reasoning.clauses import Unsaid
from r1vl_core.reasoning.hardening import Assessment, Guard, Objection, assess, guard
from r1vl_core.reasoning.key_steps import CompiledKeySteps, KeyStepMatch, compile_key_steps, match
from r1vl_core.reasoning.paths import Defect, ReasoningPath, parse
from r1vl_core.records import Question, asked

ALPHA = 0.1
"""Weight of the matched key steps in StepRAR [paper]."""


@dataclass(frozen=True, slots=True)
class PreparedQuestion:
    """What the rewards need of a question, worked out once.

    >>> question = Question("q", "s", "i.png", "", "6 / 3?", (), "2", "", (("6/3 = 2",),))
    >>> prepare(question).gold.text
    '2'
    """

    gold: Gold
    key_steps: CompiledKeySteps
    guard: Guard | None = None
    """What "strict" needs to know; None under "none"."""


@dataclass(frozen=True, slots=True)
class Reward:
    """The reward of one response with everything that explains it.

    `k` is the share of key steps matched (0 when a question has none); `matched` holds their spans in the response, `missed` the
    indices of the others; `answer` is the text of the answer section (None when absent); `defects` say why the path is not valid.
    Under "strict" alone: `objections` say why a valid path earns no StepRVR all the same, `unsaid` why a missed key step that stands in
    the steps does not count.

    >>> Reward(1.05, 1.0, 0.5, (), (0,), "correct", "number", "2", ()).total
    2.05
    """

    step_rar: float
    step_rvr: float
    k: float
    matched: tuple[KeyStepMatch, ...]
    missed: tuple[int, ...]
    verdict: VerdictName
    rule: str
    answer: str | None
    defects: tuple[Defect, ...]
    objections: tuple[Objection, ...] = ()
    unsaid: dict[int, Unsaid] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """StepRAR + StepRVR: 0 … 2 + alpha."""
        return self.step_rar + self.step_rvr


def prepare(question: Question, hardening: Hardening = "none") -> PreparedQuestion:
    """Read the gold answer and normalise the key steps once per question, and the question itself when the rewards are strict.

    Raises ValueError, naming the question, for a key step that is empty (it would match every path), and for an unknown hardening.
    """
    if hardening not in ("none", "strict"):
        raise ValueError(f'hardening is {hardening!r}; it is "none" or "strict"')
    try:
        gold, key_steps = read_gold(question.answer, question.choices), compile_key_steps(question.key_steps)
    except ValueError as error:
        raise ValueError(f"question {question.id}: {error}") from None
    if hardening == "none":
        return PreparedQuestion(gold, key_steps)
    return PreparedQuestion(
        gold, key_steps, guard(asked(question.text, question.choices), question.text, question.reference_path, key_steps)
    )


def reward(response: str, prepared: PreparedQuestion, alpha: float = ALPHA) -> Reward:
    """Both rewards of a response. Never raises for any text."""
    path = parse(response)
    found = assess(path, prepared.key_steps, prepared.guard) if prepared.guard else Assessment(match(path, prepared.key_steps))
    answer = path.answer.text if path.answer else None
    verdict = judge(answer, prepared.gold)
    k = matched_share(found.matches)
    return Reward(
        step_rar=step_rar(verdict, k, alpha),
        step_rvr=0.0 if found.objections else step_rvr(path),
        k=k,
        matched=tuple(one for one in found.matches if one),
        missed=tuple(index for index, one in enumerate(found.matches) if not one),
        verdict=verdict.verdict,
        rule=verdict.rule,
        answer=answer,
        defects=path.defects,
        objections=found.objections,
        unsaid=found.unsaid,
    )


def matched_share(matches: tuple[KeyStepMatch | None, ...]) -> float:
    """k: matched key steps over all key steps; 0 for a question without any."""
    return sum(found is not None for found in matches) / len(matches) if matches else 0.0


def step_rar(verdict: Verdict, k: float, alpha: float = ALPHA) -> float:
    """StepRAR: 1 + alpha k for a right answer, alpha k for a wrong one, 0 for an absent one (paper, equation 2)."""
    if verdict.verdict == "absent":
        return 0.0
    return alpha * k + (verdict.verdict == "correct")


def step_rvr(path: ReasoningPath) -> float:
    """StepRVR: 1 for a complete and ordered path, else 0 (paper, equation 3)."""
    return float(path.is_valid)
