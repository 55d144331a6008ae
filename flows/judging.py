"""The judge of `--judge`, ready to be asked by a scoring."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from flows.choosing import parse_settings
from r1vl_core.config import Judge
from r1vl_core.config.mistakes import explain
from r1vl_core.data.teacher.batch import Standing
from r1vl_core.evaluation.benchmarks.rulings import Profile
from r1vl_core.evaluation.benchmarks.scoring import Judge as ScoringJudge

_TELL_EVERY_S = 10.0


def judge_dials(url: str | None, model: str | None, settings: Sequence[str], profile: Profile) -> Judge | None:
    """The judge that the options describe, None where none is asked for. Raises ValueError naming the option."""
    if url is None:
        if model is not None or settings:
            raise ValueError(f"{'--judge-model' if model else '--judge-set'} needs --judge URL, the endpoint's address")
        return None
    if model is None:
        raise ValueError("--judge needs --judge-model NAME, as the endpoint knows it")
    if profile == "strict":
        raise ValueError("--judge: the profile strict decides every row by rules; leave the judge out, or score by paper or current")
    given = parse_settings(settings)
    try:
        return Judge(base_url=url, model=model, **given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise ValueError(f"--judge-set {place}: no such setting; there are {', '.join(Judge.model_fields)}") from None
        raise ValueError(f"{f'--judge-set {place}' if place else '--judge'}: {explain(first)}") from None


def asking(dials: Judge, root: Path) -> ScoringJudge:
    """What `score` asks; how far it is goes to the standard error."""
    from tasks.judging import judge_all

    told = [time.monotonic()]

    def tell(standing: Standing) -> None:
        if time.monotonic() - told[0] >= _TELL_EVERY_S:
            told[0] = time.monotonic()
            spent = f"{standing.spent.total:,} tokens, cost {standing.cost:.4g}"
            print(f"judge: {standing.done:,}/{standing.total:,} responses, {spent}", file=sys.stderr)

    return partial(judge_all, dials, root, partial(print, file=sys.stderr), on_progress=tell)
