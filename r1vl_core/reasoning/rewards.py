"""The two rewards of StepGRPO, each alone: StepRAR (paper, equation 2) and StepRVR (paper, equation 3).

The answer is read from the answer section only, key steps from the steps only. Both rewards are total: any text has a reward.
"""

from __future__ import annotations

from dataclasses import dataclass

from r1vl_core.reasoning.answers import Gold, Verdict, VerdictName, judge, read_gold
from r1vl_core.reasoning.key_steps import CompiledKeySteps, KeyStepMatch, compile_key_steps, match
from r1vl_core.reasoning.paths import Defect, ReasoningPath, parse
from r1vl_core.records import Question

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


@dataclass(frozen=True, slots=True)
class Reward:
    """The reward of one response with everything that explains it.

    `k` is the share of key steps matched (0 when a question has none); `matched` holds their spans in the response, `missed` the
    indices of the others; `answer` is the text of the answer section (None when absent); `defects` say why the path is not valid.

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

    @property
    def total(self) -> float:
        """StepRAR + StepRVR: 0 … 2 + alpha."""
        return self.step_rar + self.step_rvr


def prepare(question: Question) -> PreparedQuestion:
    """Read the gold answer and normalise the key steps once per question.

    Raises ValueError, naming the question, for a key step that is empty (it would match every path).
    """
    try:
        return PreparedQuestion(read_gold(question.answer, question.choices), compile_key_steps(question.key_steps))
    except ValueError as error:
        raise ValueError(f"question {question.id}: {error}") from None


def reward(response: str, prepared: PreparedQuestion, alpha: float = ALPHA) -> Reward:
    """Both rewards of a response. Never raises for any text."""
    path = parse(response)
    matches = match(path, prepared.key_steps)
    answer = path.answer.text if path.answer else None
    verdict = judge(answer, prepared.gold)
    k = matched_share(matches)
    return Reward(
        step_rar=step_rar(verdict, k, alpha),
        step_rvr=step_rvr(path),
        k=k,
        matched=tuple(found for found in matches if found),
        missed=tuple(index for index, found in enumerate(matches) if not found),
        verdict=verdict.verdict,
        rule=verdict.rule,
        answer=answer,
        defects=path.defects,
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
