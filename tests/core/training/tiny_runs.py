"""Small StepGRPO runs on random policies: rewards, groups, one update, a whole run. Shared by the tests of training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from r1vl_core.config import StepGRPO
from r1vl_core.policy.logprobs import score_shared
from r1vl_core.policy.model import Policy
from r1vl_core.policy.rollout import generate
from r1vl_core.reasoning import rewards
from r1vl_core.reasoning.rewards import Reward
from r1vl_core.records import Question
from r1vl_core.report import repeatable
from r1vl_core.training.backward import Score, Sums, add_gradient, cut
from r1vl_core.training.groups import Group, Judge, judged_groups
from r1vl_core.training.losses import StepSize
from r1vl_core.training.stepgrpo import train
from r1vl_core.training.validation import Validation
from tests.core.tiny_policies import favour, some_prompts, tiny_policy

SETTINGS = StepGRPO(
    num_steps=4, questions_per_step=3, group_size=3, temperature=1.2, max_new_tokens=10, learning_rate=1e-2, beta=0.04, save_every=2
)


def a_reward(question: int, text: str) -> Reward:
    """Something that differs from text to text."""
    k = (len(text.encode()) + question) % 4 / 4
    right = len(text) % 2 == 0
    return Reward(right + 0.1 * k, float(len(text) % 3 == 0), k, (), (), "correct" if right else "wrong", "number", text[-1:] or None, ())


def same_reward(question: int, text: str) -> Reward:
    """Nobody is better than anybody."""
    return Reward(0.9, 0.0, 0.0, (), (), "wrong", "number", None, ())


def sometimes_the_same(question: int, text: str) -> Reward:
    """Every other question teaches nothing."""
    return (same_reward if question % 2 else a_reward)(question, text)


def ending_policy(seed: int = 0, by: float = 4.0) -> Policy:
    """A random policy whose paths end soon; at once, or never, for a `by` far from 0."""
    policy = tiny_policy(seed=seed)
    favour(policy, policy.end_token_ids[0], by=by)
    if by < 0:
        policy.model.lm_head.bias.data[list(policy.end_token_ids)] = by
    return policy


class Phrases:
    """A tokenizer whose every token is a whole step or a final answer once decoded; encoding is the tiny tokenizer's."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._tokenizer(*args, **kwargs)

    def decode(self, token_ids: list[int], **_: Any) -> str:
        """One line a token."""
        return "".join(map(_phrase, token_ids))


def _phrase(token_id: int) -> str:
    if token_id % 5 == 0:
        return f"### The final answer is: {token_id % 2}\n"
    return f"### Step {token_id % 3 + 1}: sum {token_id % 4} é\n"


def step_writer() -> Policy:
    """A random policy that writes steps, some of them key steps, and answers."""
    policy = ending_policy(by=2.0)
    return dataclasses.replace(policy, tokenizer=Phrases(policy.tokenizer))


PREPARED = rewards.prepare(Question("q", "s", "i.png", "", "How many?", (), "1", "", (("sum 1",), ("sum 2",), ("sum 3",))))


def step_reward(question: int, text: str) -> Reward:
    """The rewards themselves, for what `step_writer` writes; nobody gets anything for question 3."""
    return same_reward(question, text) if question == 3 else rewards.reward(text, PREPARED, SETTINGS.alpha)


def some_groups(policy: Policy, num_questions: int = 3, group_size: int = 4, **changes: Any) -> list[Group]:
    """Sampled groups of paths of different length, some of them truncated."""
    prompts = some_prompts(policy, num_questions)
    seeds = [(1, index) for index in range(num_questions)]
    rollouts = generate(policy, prompts, num_samples=group_size, temperature=1.2, max_new_tokens=12, seeds=seeds)
    settings = SETTINGS.model_copy(update={"group_size": group_size, **changes})
    return judged_groups(policy, range(num_questions), prompts, rollouts, a_reward, settings)


def update_of(
    policy: Policy,
    groups: list[Group],
    settings: StepGRPO = SETTINGS,
    *,
    reference: Policy | None = None,
    old: Policy | None = None,
    token_budget: int = 300,
    score: Score = score_shared,
    all_groups: bool = True,
) -> tuple[Sums, Tensor]:
    """Sums and gradient of one update from these groups; the first one, or a later one when the policy before the first is given."""
    policy.model.zero_grad()
    size = StepSize(sum(len(group.rollouts) for group in groups), sum(group.num_tokens for group in groups), settings.max_new_tokens)
    shared = score is score_shared
    options: dict[str, Any] = {"loss_mean": settings.loss_mean, "token_budget": token_budget, "shared": shared, "all_groups": all_groups}
    sums = Sums()
    for batch in cut(groups, policy.device, size=size, **options):
        known = []
        for other in (reference, old):
            with torch.no_grad():
                known.append(score(other, batch.prompts, batch.completions, settings.temperature).logprobs if other else None)
        sums += add_gradient(policy, batch, *known, score=score, settings=settings)[0]
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in policy.model.parameters()]
    return sums, torch.cat([part.flatten() for part in parts])


def backwards(group: Group) -> Group:
    """The same group with its paths in the opposite order."""
    changes = {
        field.name: getattr(group, field.name)[::-1] for field in dataclasses.fields(group) if field.name not in ("prompt", "credit")
    }
    credit = dataclasses.replace(
        group.credit, **{field.name: getattr(group.credit, field.name)[::-1] for field in dataclasses.fields(group.credit)}
    )
    return dataclasses.replace(group, credit=credit, **changes)


def run(
    folder: Path | None,
    num_reports: int = 99,
    *,
    judge: Judge = a_reward,
    make: Callable[[], Policy] = ending_policy,
    num_questions: int = 4,
    accelerator: Any = None,
    token_budget: int = 2048,
    validation: Validation | None = None,
    **changes: Any,
) -> tuple[Policy, list[Any]]:
    """A run over a few questions, left after `num_reports` steps."""
    policy, reference = make(), make()
    prompts = some_prompts(policy, num_questions)
    settings = StepGRPO.model_validate(SETTINGS.model_dump() | changes)
    options: dict[str, Any] = {"num_questions": num_questions, "settings": settings, "seed": 5, "work_dir": folder}
    options |= {"token_budget": token_budget, "validation": validation}
    reports = train(policy, reference, prompts.__getitem__, judge, accelerator=accelerator, **options)
    taken = [report for _, report in zip(range(num_reports), reports, strict=False)]
    reports.close()
    return policy, taken


def weights(policy: Policy) -> list[bytes]:
    """Every parameter, to the bit."""
    return [parameter.detach().numpy().tobytes() for parameter in policy.model.parameters()]


def untimed(report: Any) -> tuple[Any, ...]:
    """What two runs must have in common."""
    return report.step, repeatable(report.metrics), report.samples
