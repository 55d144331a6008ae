"""A judge on one response that no rule decides: it says which answer the response gives, and only then whether that is the right one.

The judge that extracts never sees the right answer, and what it extracts is put to the benchmark's own rule first: a response cannot talk
the judge into a verdict. Only where the rule still cannot say does the judge decide, over the extracted answer alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from r1vl_core.data.teacher.answers import Strict
from r1vl_core.data.teacher.asking import Asker
from r1vl_core.data.teacher.talk import Failed, Talk

PROMPTS = ("judge_extract", "judge_decide")

LONGEST_RESPONSE = 12_000
"""Characters of a response's end that a judge is shown: the final answer stands there."""


class Extracted(Strict):
    """What the prompt judge_extract asks for.

    >>> Extracted.model_validate_json('{"answer": null}').answer is None
    True
    """

    answer: str | None = Field(max_length=400)


class Decided(Strict):
    """What the prompt judge_decide asks for.

    >>> Decided.model_validate_json('{"verdict": "wrong"}').verdict
    'wrong'
    """

    verdict: Literal["correct", "wrong", "unclear"]


@dataclass(frozen=True, slots=True)
class Disputed:
    """A response that no rule decides; `rule` puts an answer to the benchmark's own rule: right, wrong, or None when it cannot say.

    >>> Disputed("How many?", "3", "three of them", lambda answer: answer == "3" or None).gold
    '3'
    """

    question: str
    gold: str
    response: str
    rule: Callable[[str], bool | None]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge makes of a response: the answer it found, whether that is right (None: it cannot say), and how it came to that.

    >>> Judgement("3", True, "extracted, then the rule").correct
    True
    """

    extracted: str
    correct: bool | None
    how: str


async def judge(disputed: Disputed, asker: Asker) -> Judgement:
    """Extract, put to the rule, and decide where need be. Raises as `Asker.ask` for the whole job; a failure on this row is a judgement."""
    talk, found = Talk(asker), ""
    try:
        response = disputed.response[-LONGEST_RESPONSE:]
        said = (await talk.ask("judge_extract", Extracted, question=disputed.question, response=response)).answer
        found = (said or "").strip()
        if not found:
            return Judgement("", False, "the response gives no answer")
        right = disputed.rule(found)
        if right is not None:
            return Judgement(found, right, "extracted, then the rule")
        decided = await talk.ask("judge_decide", Decided, question=disputed.question, gold=disputed.gold, answer=found)
    except Failed as failed:
        return Judgement(found, None, f"failed, {failed.reason}")
    if decided.verdict == "unclear":
        return Judgement(found, None, "extracted, unclear")
    return Judgement(found, decided.verdict == "correct", "extracted, then decided")
