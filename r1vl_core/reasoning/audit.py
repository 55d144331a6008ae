"""The audit of the rewards: do they tell right from wrong, and can they be fooled?

Discrimination is measured on paths that a policy sampled: the area under the ROC curve of k, and of the total reward, against the
answer's correctness. Hackability is measured on honest paths: the share that an attack rewrites without losing reward.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from r1vl_core.config import Hardening
from r1vl_core.reasoning.attacks import ATTACKS, Attack, Honest
from r1vl_core.reasoning.paths import parse
from r1vl_core.reasoning.rewards import ALPHA, PreparedQuestion, Reward, prepare, reward
from r1vl_core.records import Question

TOLERANCE = 1e-9
"""Rewards that differ by less are equal."""


@dataclass(frozen=True, slots=True)
class Area:
    """Area under a ROC curve with its 95 % interval (Hanley & McNeil 1982): 0.5 tells nothing, 1 tells right from wrong.

    `within` is the same among paths of one question (mean over pairs), which the question's difficulty cannot raise; None where no
    question has both right and wrong paths, `value` None where there are only right or only wrong ones.

    >>> Area(0.75, 0.7, 0.8, 0.6).value
    0.75
    """

    value: float | None
    low: float | None
    high: float | None
    within: float | None


@dataclass(frozen=True, slots=True)
class Discrimination:
    """How well the rewards of `num_paths` sampled paths tell the `num_right` right ones from the others.

    >>> Discrimination(2, 1, Area(None, None, None, None), Area(None, None, None, None), Area(None, None, None, None)).num_right
    1
    """

    num_paths: int
    num_right: int
    k: Area
    step_rvr: Area
    total: Area


@dataclass(frozen=True, slots=True)
class AttackResult:
    """One attack: on `num_paths` honest paths it applies to, `num_wins` attacked ones earn at least what the honest one does.

    >>> AttackResult("list_in_one_step", "All key steps listed in a single step.", 200, 4, 1.02, 2.1).share
    0.02
    """

    name: str
    about: str
    num_paths: int
    num_wins: int
    mean_reward: float
    mean_honest: float

    @property
    def share(self) -> float:
        """Attacked paths that win, as a fraction; 0 where the attack applies to none."""
        return self.num_wins / self.num_paths if self.num_paths else 0.0


@dataclass(frozen=True, slots=True)
class Hackability:
    """All attacks under one hardening. Of `num_honest` honest paths, `num_kept` earn what the paper's definition gives them, and
    `num_kept_unforgiven` would if the question's reference path were forgiven nothing.

    >>> Hackability("none", 10, 10, 10, ()).num_kept
    10
    """

    hardening: Hardening
    num_honest: int
    num_kept: int
    num_kept_unforgiven: int
    attacks: tuple[AttackResult, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """An audit of a set of questions: the same measures for each hardening. `sampled` is empty where no paths were given, `attacked`
    where no question has a reference path.

    >>> Audit("questions.jsonl", 0.1, {}, {}).alpha
    0.1
    """

    source: str
    alpha: float
    sampled: Mapping[Hardening, Discrimination]
    attacked: Mapping[Hardening, Hackability]


def audit(
    source: str,
    questions: Sequence[Question],
    sampled: Sequence[tuple[str, str]],
    hardenings: Sequence[Hardening],
    alpha: float = ALPHA,
    limit: int = 0,
) -> Audit:
    """Measure both sides. `sampled` are (question id, text) pairs; at most `limit` questions are attacked, evenly spread (0: all).

    Raises ValueError when there is nothing to measure: neither a sampled path nor a question with key steps and a reference path.
    """
    by_id = {question.id: question for question in questions}
    honest = [question for question in questions if is_attackable(question)]
    if limit and len(honest) > limit:
        honest = [honest[place * len(honest) // limit] for place in range(limit)]
    if not honest and not sampled:
        raise ValueError("nothing to audit: no question has key steps and a reference path, and no responses are given")
    return Audit(
        source,
        alpha,
        {hardening: discrimination(by_id, sampled, hardening, alpha) for hardening in hardenings if sampled},
        {hardening: hackability(honest, hardening, alpha) for hardening in hardenings if honest},
    )


def is_attackable(question: Question) -> bool:
    """Whether a question has what an attack needs: key steps, and a reference path with steps."""
    return bool(question.key_steps and question.reference_path and parse(question.reference_path).steps)


def discrimination(
    questions: Mapping[str, Question], sampled: Iterable[tuple[str, str]], hardening: Hardening, alpha: float = ALPHA
) -> Discrimination:
    """Reward sampled (question id, text) pairs and compare right ones with the others. Raises KeyError for an unknown id."""
    prepared: dict[str, PreparedQuestion] = {}
    rewards: list[tuple[str, Reward]] = []
    for name, text in sampled:
        if name not in prepared:
            prepared[name] = prepare(questions[name], hardening)
        rewards.append((name, reward(text, prepared[name], alpha)))
    groups = [name for name, _ in rewards]
    right = [one.verdict == "correct" for _, one in rewards]
    k, step_rvr, total = ([getattr(one, part) for _, one in rewards] for part in ("k", "step_rvr", "total"))
    return Discrimination(len(rewards), sum(right), area(k, right, groups), area(step_rvr, right, groups), area(total, right, groups))


def area(scores: Sequence[float], right: Sequence[bool], groups: Sequence[str]) -> Area:
    """Area under the ROC curve of scores against right or wrong; ties count one half.

    >>> area([0.9, 0.4, 0.6, 0.1], [True, True, False, False], ["a", "a", "b", "b"]).value
    0.75
    """
    won, pairs = _pairs(scores, right)
    by_group: dict[str, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        by_group[group].append(place)
    within = [_pairs([scores[i] for i in places], [right[i] for i in places]) for places in by_group.values()]
    num_within = sum(num for _, num in within)
    inside = sum(part for part, _ in within) / num_within if num_within else None
    if not pairs:
        return Area(None, None, None, inside)
    value, num_right = won / pairs, sum(right)
    num_wrong = len(right) - num_right
    spread = value * (1 - value)
    spread += (num_right - 1) * (value / (2 - value) - value**2) + (num_wrong - 1) * (2 * value**2 / (1 + value) - value**2)
    half = 1.96 * math.sqrt(max(0.0, spread) / pairs)
    return Area(value, max(0.0, value - half), min(1.0, value + half), inside)


def _pairs(scores: Sequence[float], right: Sequence[bool]) -> tuple[float, int]:
    """Pairs of a right and a wrong path in which the right one scores higher (a tie is half), and all such pairs."""
    wrong = sorted(score for score, good in zip(scores, right, strict=True) if not good)
    good_ones = [score for score, good in zip(scores, right, strict=True) if good]
    won = math.fsum((bisect_left(wrong, score) + bisect_right(wrong, score)) / 2 for score in good_ones)
    return won, len(good_ones) * len(wrong)


def hackability(
    questions: Sequence[Question], hardening: Hardening, alpha: float = ALPHA, attacks: Mapping[str, Attack] | None = None
) -> Hackability:
    """Attack every question's reference path. Questions without one, or without key steps, are left out.

    The other question of an attack is the next one in the list. Raises ValueError when no question can be attacked.
    """
    usable = [question for question in questions if is_attackable(question)]
    if not usable:
        raise ValueError("no question has both key steps and a reference path with steps; the audit needs honest paths to attack")
    pairs = [
        (Honest(question, parse(question.reference_path), other), prepare(question, hardening), prepare(question))
        for question, other in zip(usable, [*usable[1:], usable[0]], strict=True)
    ]
    honest = [reward(one.question.reference_path, prepared, alpha).total for one, prepared, _ in pairs]
    papers = [reward(one.question.reference_path, paper, alpha).total for one, _, paper in pairs]
    bare = [reward(one.question.reference_path, _unforgiving(prepared), alpha).total for one, prepared, _ in pairs]
    return Hackability(
        hardening,
        len(pairs),
        sum(ours >= theirs - TOLERANCE for ours, theirs in zip(honest, papers, strict=True)),
        sum(ours >= theirs - TOLERANCE for ours, theirs in zip(bare, papers, strict=True)),
        tuple(
            _attack(name, attack, [one for one, _, _ in pairs], [prepared for _, prepared, _ in pairs], honest, alpha)
            for name, attack in (ATTACKS if attacks is None else attacks).items()
        ),
    )


def _attack(
    name: str, attack: Attack, paths: Sequence[Honest], prepared: Sequence[PreparedQuestion], totals: Sequence[float], alpha: float
) -> AttackResult:
    earned: list[tuple[float, float]] = []
    for honest, question, total in zip(paths, prepared, totals, strict=True):
        text = attack(honest)
        if text is not None:
            earned.append((reward(text, question, alpha).total, total))
    wins = sum(attacked >= total - TOLERANCE for attacked, total in earned)
    means = [fmean(column) for column in zip(*earned, strict=True)] or [0.0, 0.0]
    return AttackResult(name, (attack.__doc__ or name).strip(), len(earned), wins, *means)


def _unforgiving(prepared: PreparedQuestion) -> PreparedQuestion:
    """The same question with nothing forgiven to its reference path."""
    known = prepared.guard
    return replace(prepared, guard=replace(known, objections=frozenset(), key_steps=frozenset())) if known else prepared
