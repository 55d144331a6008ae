"""The judge of `--judge`, ready to be asked by a scoring, and the served model of `--endpoint`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from flows.choosing import parse_settings
from r1vl_core.config import ChatService, Judge, ServedModel
from r1vl_core.config.mistakes import explain
from r1vl_core.data.teacher.batch import Standing
from r1vl_core.evaluation.benchmarks.rulings import Profile
from r1vl_core.evaluation.benchmarks.scoring import Judge as ScoringJudge

JUDGE_SETTINGS = tuple(name for name in Judge.model_fields if name not in ("base_url", "model"))

ENDPOINT_SETTINGS = ("concurrency", "timeout_s", "max_attempts", "request", "token_limit")
"""What `--endpoint-set` takes; the longest response and how it is sampled have options of their own."""

Kind = TypeVar("Kind", bound=ChatService)

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
    return _dials(Judge, "--judge", url, model, settings, JUDGE_SETTINGS)


def endpoint_dials(url: str, model: str, settings: Sequence[str]) -> ServedModel:
    """The served model that the options describe. Raises ValueError naming the option."""
    return _dials(ServedModel, "--endpoint", url, model, settings, ENDPOINT_SETTINGS)


def _dials(kind: type[Kind], option: str, url: str, model: str, settings: Sequence[str], known: Sequence[str]) -> Kind:
    """The dials of a service at the address that `option` gives, its settings that with -set. Raises ValueError naming the option."""
    if "@" in url.partition("://")[2].partition("/")[0]:  # it is not shown again
        raise ValueError(f"{option} holds a password; take it out and set {kind.KEY_VARIABLE} in the environment")
    given = parse_settings(settings, f"{option}-set", "concurrency=16")
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(f"{option}-set {unknown[0]}: no such setting; there are {', '.join(known)}")
    try:
        return kind(base_url=url, model=model, **given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        where = {"": option, "model": f"{option}-model" if option == "--judge" else "--model"}.get(place, f"{option}-set {place}")
        raise ValueError(f"{where}: {explain(first)}") from None


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
