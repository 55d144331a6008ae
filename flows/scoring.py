"""`r1vl reward`: the rewards of any responses, offline, one line a response."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1vl_core.config import Hardening
from r1vl_core.data.scoring import PlacedQuestion, Response, read_question_file, read_responses
from r1vl_core.reasoning.rewards import PreparedQuestion, Reward, prepare, reward
from r1vl_core.records import Question

FIELDS = """
With --json, one JSON object a response, in the order of the file:

\b
  id               as the response spells it
  step_rar         1 + alpha k for a right answer, alpha k for a wrong one, 0 without one
  step_rvr         1 for a complete and ordered path, else 0
  total            step_rar + step_rvr
  k                matched key steps over all key steps, 0 for a question without any
  verdict          correct, wrong, absent, timeout or error; only correct earns the 1
  rule             the rule that decided the verdict; empty: there is no answer to judge
  answer           the text of the answer section, null when absent
  matched          for each matched key step: index (from 0), form (the one that stands there),
                   span [start, end) in characters of the response, text (what stands there)
  missed           for each other key step: index, forms, and unsaid: why it does not count
                   though it stands in the steps (strict alone), else null
  invalid_reasons  why step_rvr is 0: every defect of the path, and what strict objects to
"""
"""What `r1vl reward --json` prints, for its help."""

_ID_WIDTH = 28
_RULES = {"empty": "no answer"}
"""What the table calls a rule whose name is no help to a reader."""


@dataclass
class Means:
    """Running means over the responses."""

    num: int = 0
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("step_rar", "step_rvr", "total", "k", "correct"), 0.0))

    def add(self, earned: Reward) -> None:
        """Take one response's reward in."""
        self.num += 1
        for name in ("step_rar", "step_rvr", "total", "k"):
            self.sums[name] += getattr(earned, name)
        self.sums["correct"] += earned.verdict == "correct"

    def of(self, name: str) -> float:
        """The mean of one; 0 before the first response."""
        return self.sums[name] / max(1, self.num)


def print_rewards(questions: Path, responses: Path, *, as_json: bool, alpha: float, hardening: Hardening) -> None:
    """Score every response and print a line for each as it is read. Raises ValueError naming file, line and cure.

    A reader that closes the output early (`| head`) ends the scoring, and that is no failure.
    """
    if not (math.isfinite(alpha) and alpha >= 0):
        raise ValueError(f"--alpha {alpha}: give a finite number that is 0 or more; the paper's is 0.1")
    check_one_input(questions, responses)
    prepared = prepare_questions(read_question_file(questions), hardening)
    means = Means()
    try:
        for response in read_responses(responses):
            if response.id not in prepared:
                raise ValueError(
                    f"{response.place}: no question with the id {response.id!r:.80} in {questions} ({len(prepared)} questions); "
                    "correct the id or add the question"
                )
            question, ready = prepared[response.id]
            earned = reward(response.text, ready, alpha)
            if not means.num and not as_json:  # not before there is something to stand under it
                print(f"{'id':<{_ID_WIDTH}} StepRAR  StepRVR   total       k  verdict  rule, and why the path is not valid")
            means.add(earned)
            print(json.dumps(as_plain(response, question, earned)) if as_json else _row(response, earned))
        if not as_json:
            print(_closing(means))
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered has no reader: without this the interpreter would fail over it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def check_one_input(questions: Path, responses: Path | None) -> None:
    """Raise ValueError where both are to come from the standard input."""
    if str(questions) == str(responses) == "-":
        raise ValueError("--questions - and --responses -: there is one standard input; give the file of one of them")


def prepare_questions(placed: list[PlacedQuestion], hardening: Hardening) -> dict[str, tuple[Question, PreparedQuestion]]:
    """Every question by id, with what the rewards need of it. Raises ValueError naming the place of one that cannot be."""
    prepared = {}
    for one in placed:
        try:
            prepared[one.question.id] = one.question, prepare(one.question, hardening)
        except ValueError as error:
            raise ValueError(f"{one.place}: {error}") from None
    return prepared


def as_plain(response: Response, question: Question, earned: Reward) -> dict[str, Any]:
    """The JSON object of one response; see `FIELDS`."""
    return {
        "id": response.given_id,
        "step_rar": earned.step_rar,
        "step_rvr": earned.step_rvr,
        "total": earned.total,
        "k": earned.k,
        "verdict": earned.verdict,
        "rule": earned.rule,
        "answer": earned.answer,
        "matched": [
            {"index": one.index, "form": one.form, "span": [one.start, one.end], "text": response.text[one.start : one.end]}
            for one in earned.matched
        ],
        "missed": [
            {"index": index, "forms": list(question.key_steps[index]), "unsaid": earned.unsaid.get(index)} for index in earned.missed
        ],
        "invalid_reasons": list(_reasons(earned)),
    }


def _reasons(earned: Reward) -> Iterator[str]:
    yield from map(str, earned.defects)
    yield from map(str, earned.objections)


def _row(response: Response, earned: Reward) -> str:
    # A tab or a line end in an id would break the table.
    name = "".join(character if character.isprintable() else "?" for character in response.id)
    name = name if len(name) <= _ID_WIDTH else f"{name[: _ID_WIDTH - 1]}…"
    numbers = f"{earned.step_rar:7.3f}  {earned.step_rvr:7.3f} {earned.total:7.3f} {earned.k:7.3f}"
    return f"{name:<{_ID_WIDTH}} {numbers}  {earned.verdict:<7}  {', '.join([_RULES.get(earned.rule, earned.rule), *_reasons(earned)])}"


def _closing(means: Means) -> str:
    if not means.num:
        return "no responses"
    numbers = f"{means.of('step_rar'):7.3f}  {means.of('step_rvr'):7.3f} {means.of('total'):7.3f} {means.of('k'):7.3f}"
    return f"{f'mean of {means.num}':<{_ID_WIDTH}} {numbers}  {means.of('correct'):.1%} correct"
