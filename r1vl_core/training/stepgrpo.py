"""StepGRPO: sample a group of paths for each question, reward every path by rule, reinforce what beats its group (paper, section 3.2)."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from r1vl_core.config import StepGRPO
from r1vl_core.policy.logprobs import score_shared
from r1vl_core.policy.model import Policy, Prompt
from r1vl_core.policy.rollout import Rollout, generate
from r1vl_core.reasoning.rewards import Reward
from r1vl_core.report import Report
from r1vl_core.training import optimizer as optimizers
from r1vl_core.training.advantages import group_advantages
from r1vl_core.training.backward import MicroBatch, Score, Sums, add_gradient, choose_forward, cut
from r1vl_core.training.checkpoint import Checkpoints
from r1vl_core.training.groups import Group
from r1vl_core.training.order import draw
from r1vl_core.training.processes import gather_lists, my_share, sum_over_processes
from r1vl_core.training.run import run_steps

Judge = Callable[[int, str], Reward]
"""The reward of a response to the question of that number."""


def train(
    policy: Policy,
    reference: Policy | None,
    get_prompt: Callable[[int], Prompt],
    judge: Judge,
    *,
    num_questions: int,
    settings: StepGRPO,
    seed: int,
    work_dir: Path | None = None,
    token_budget: int = 2048,
    accelerator: Any = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Report]:
    """Train `policy` in place, one report a step; resumes from the newest whole checkpoint in `work_dir`.

    `get_prompt(i)` encodes the i-th of `num_questions`, `judge(i, text)` rewards a response to it. `reference` is the frozen warm-up
    policy and may be None only when `settings.beta` is 0. `seed` decides the order of the questions and every sampled token.
    `should_stop` is asked after every step: if true the state is saved and training returns. Reports of steps taken before a resume
    are not yielded again; `checkpoint.read_reports(work_dir)` has them all.
    """
    if num_questions == 0:
        raise ValueError("StepGRPO was given no questions; every question was rejected, or none has key steps")
    if settings.beta > 0 and reference is None:
        raise ValueError(f"stepgrpo.beta is {settings.beta}, which needs a reference policy; give one or set beta to 0")
    run = Run(
        policy,
        reference if settings.beta > 0 else None,
        get_prompt,
        judge,
        num_questions,
        settings,
        seed,
        token_budget,
        accelerator,
        choose_forward(policy, settings.forward),
        optimizers.adamw(policy.model, settings.learning_rate, settings.weight_decay),
    )
    ignored = {"save_every", "keep_checkpoints", "forward"}
    identity = {"stage": "stepgrpo", "seed": seed, "num_questions": num_questions, **settings.model_dump(exclude=ignored)}
    checkpoints = Checkpoints(work_dir, identity, settings.keep_checkpoints) if work_dir else None
    yield from run_steps(
        functools.partial(take_step, run),
        settings.num_steps,
        checkpoints,
        settings.save_every,
        policy.model,
        run.optimizer,
        accelerator,
        should_stop,
    )
    policy.model.eval()


@dataclass(frozen=True, slots=True)
class Run:
    """Everything a step needs; the same for all steps.

    >>> Run.__slots__[:2]
    ('policy', 'reference')
    """

    policy: Policy
    reference: Policy | None
    get_prompt: Callable[[int], Prompt]
    judge: Judge
    num_questions: int
    settings: StepGRPO
    seed: int
    token_budget: int
    accelerator: Any
    score: Score
    optimizer: torch.optim.Optimizer


def take_step(run: Run, step: int) -> Report:
    """One update: draw P questions, sample M paths of each, reward them, compare within groups, reinforce."""
    policy, settings, clock = run.policy, run.settings, Clock(run.policy.device)
    drawn = draw(run.num_questions, step * settings.questions_per_step, (step + 1) * settings.questions_per_step, seed=run.seed)
    mine = my_share(list(enumerate(drawn)), run.accelerator)
    prompts = [run.get_prompt(question) for _, question in mine]
    clock.lap("encode")

    policy.model.eval()
    rollouts = generate(
        policy,
        prompts,
        num_samples=settings.group_size,
        temperature=settings.temperature,
        max_new_tokens=settings.max_new_tokens,
        seeds=[(run.seed, step, place) for place, _ in mine],
    )
    clock.lap("rollout")

    groups = judged_groups(policy, [question for _, question in mine], prompts, rollouts, settings.group_size, run.judge)
    clock.lap("reward")

    batches = cut(
        groups,
        policy.device,
        num_paths=settings.questions_per_step * settings.group_size,
        token_budget=run.token_budget,
        shared=run.score is score_shared,
        all_groups=run.reference is not None,
        mask_truncated=settings.mask_truncated,
    )
    references = [reference_logprobs(run, batch) for batch in batches]
    clock.lap("reference")

    policy.model.train()
    sums = Sums()
    for batch, known in zip(batches, references, strict=True):
        sums += add_gradient(policy, batch, known, score=run.score, temperature=settings.temperature, beta=settings.beta)
    optimizers.sum_gradients(policy.model, run.accelerator)
    rate = settings.learning_rate * (1 - step / settings.num_steps)
    grad_norm = optimizers.update(policy.model, run.optimizer, rate, settings.max_grad_norm)
    clock.lap("update")

    samples = gather_lists([group.samples(step + 1) for group in groups], run.accelerator)
    sums = Sums(*sum_over_processes(astuple(sums), run.accelerator))
    metrics = {**summary(samples), **means(sums), "grad_norm": grad_norm, "learning_rate": rate, **clock.seconds()}
    metrics["tokens_per_second"] = metrics["tokens"] / metrics["seconds"]
    return Report(step + 1, settings.num_steps, metrics, tuple(sample for group in samples for sample in group))


@torch.no_grad()
def reference_logprobs(run: Run, batch: MicroBatch) -> Tensor | None:
    """Log-probabilities (N,) under the reference, at the same temperature; None when there is none."""
    if run.reference is None:
        return None
    return run.score(run.reference, batch.prompts, batch.completions, run.settings.temperature).logprobs


def judged_groups(
    policy: Policy, questions: Sequence[int], prompts: Sequence[Prompt], rollouts: Sequence[Rollout], group_size: int, judge: Judge
) -> list[Group]:
    """Reward every rollout and give each group its advantages. Raises ValueError for a reward that is not a finite number."""
    groups = []
    for place, (question, prompt) in enumerate(zip(questions, prompts, strict=True)):
        group = tuple(rollouts[place * group_size : (place + 1) * group_size])
        assert all(rollout.question_id == prompt.question_id for rollout in group), "a group holds another question's rollouts"
        texts = tuple(policy.decode(rollout.token_ids) for rollout in group)
        rewards = tuple(judge(question, text) for text in texts)
        totals = [reward.total for reward in rewards]
        if not all(math.isfinite(total) for total in totals):
            raise ValueError(f"question {prompt.question_id}: a reward is not a finite number: {totals}")
        groups.append(Group(prompt, group, texts, rewards, tuple(group_advantages(totals))))
    return groups


def summary(samples: Sequence[Sequence[dict[str, Any]]]) -> dict[str, float]:
    """Means over all paths of a step (P groups of M rows), and the share of groups whose rewards are all equal."""
    paths = [path for group in samples for path in group]
    return {
        "reward": fmean(path["step_rar"] + path["step_rvr"] for path in paths),
        "step_rar": fmean(path["step_rar"] for path in paths),
        "step_rvr": fmean(path["step_rvr"] for path in paths),
        "k": fmean(path["k"] for path in paths),
        "accuracy": fmean(path["verdict"] == "correct" for path in paths),
        "unjudged": fmean(path["verdict"] in ("timeout", "error") for path in paths),
        "zero_variance": fmean(not any(path["advantage"] for path in group) for group in samples),
        "mean_tokens": fmean(path["num_tokens"] for path in paths),
        "truncated": fmean(path["truncated"] for path in paths),
        "tokens": float(sum(path["num_tokens"] for path in paths)),
    }


def means(sums: Sums) -> dict[str, float]:
    """Loss and KL of the step, and means over the tokens that were scored.

    `entropy` is in nats; `logprob_gap` is the mean difference between a token's log-probability when drawn and when trained.
    """
    num_tokens = max(1.0, sums.num_tokens)
    return {
        "loss": sums.loss,
        "kl": sums.kl,
        "kl_clamped": sums.num_clamped / num_tokens,
        "entropy": sums.entropy / num_tokens,
        "logprob_gap": sums.gap / num_tokens,
        "trained_tokens": sums.num_tokens,
    }


class Clock:
    """Seconds of a step by phase; a GPU is waited for at each lap, so that a phase pays for its own work."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._started = self._last = time.monotonic()
        self._laps: dict[str, float] = {}

    def lap(self, phase: str) -> None:
        """End a phase."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.monotonic()
        self._laps[f"seconds_{phase}"] = now - self._last
        self._last = now

    def seconds(self) -> dict[str, float]:
        """Every phase's seconds and `seconds` of all."""
        return {**self._laps, "seconds": self._last - self._started}
