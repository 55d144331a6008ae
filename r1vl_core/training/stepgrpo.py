"""StepGRPO: sample a group of paths for each question, reward every path by rule, reinforce what beats its group (paper, section 3.2)."""

from __future__ import annotations

import functools
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
from r1vl_core.policy.rollout import generate
from r1vl_core.report import Report
from r1vl_core.training import optimizer as optimizers
from r1vl_core.training.adapters import without_adapters
from r1vl_core.training.backward import MicroBatch, Score, Sums, add_gradient, choose_forward, cut, weightless
from r1vl_core.training.checkpoint import Checkpoints, State
from r1vl_core.training.groups import Group, Judge, judged_groups
from r1vl_core.training.losses import StepSize
from r1vl_core.training.order import Stream
from r1vl_core.training.processes import gather_lists, missing, sum_over_processes
from r1vl_core.training.run import run_steps
from r1vl_core.training.sampling import Sampled, sample_groups
from r1vl_core.training.schedule import share_of_peak
from r1vl_core.training.trained import choose_trained


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
    policy and may be None when `settings.beta` is 0, or with `settings.lora`: it then is the policy without its adapters. `seed` decides
    the order of the questions and every sampled token.
    `should_stop` is asked after every step: if true the state is saved and training returns. Reports of steps taken before a resume
    are not yielded again; `checkpoint.read_reports(work_dir)` has them all.
    """
    if num_questions == 0:
        raise ValueError("StepGRPO was given no questions; every question was rejected, or none has key steps")
    if settings.lora:
        reference = policy
    if settings.beta > 0 and reference is None:
        raise ValueError(f"stepgrpo.beta is {settings.beta}, which needs a reference policy; give one or set beta to 0")
    choose_trained(policy, settings, seed)
    run = Run(
        policy,
        reference if settings.beta > 0 else None,
        get_prompt,
        judge,
        Stream(num_questions, seed),
        settings,
        seed,
        token_budget,
        accelerator,
        choose_forward(policy, settings.forward),
        optimizers.adamw(policy.model, settings.learning_rate, settings.weight_decay),
    )
    ignored = ("save_every", "keep_checkpoints", "forward")
    identity = {"stage": "stepgrpo", "seed": seed, "num_questions": num_questions, **settings.identity(*ignored)}
    checkpoints = Checkpoints(work_dir, identity, settings.keep_checkpoints) if work_dir else None
    yield from run_steps(
        functools.partial(take_step, run),
        settings.num_steps,
        checkpoints,
        settings.save_every,
        State(policy.model, run.optimizer, run.stream),
        accelerator,
        should_stop,
    )
    policy.model.eval()


@dataclass(frozen=True, slots=True)
class Run:
    """Everything a step needs, the same for all steps; only the state (weights, optimiser, stream) changes from one to the next.

    >>> Run.__slots__[:2]
    ('policy', 'reference')
    """

    policy: Policy
    reference: Policy | None
    get_prompt: Callable[[int], Prompt]
    judge: Judge
    stream: Stream
    settings: StepGRPO
    seed: int
    token_budget: int
    accelerator: Any
    score: Score
    optimizer: torch.optim.Optimizer


def take_step(run: Run, step: int) -> Report:
    """Draw P questions, sample M paths of each, reward them, compare within groups, reinforce: once, or `num_updates` times."""
    policy, settings, clock = run.policy, run.settings, Clock(run.policy.device)
    sampled = sample_groups(
        functools.partial(sample, run, step, clock),
        run.stream,
        num_groups=settings.questions_per_step,
        refill_rounds=settings.refill_rounds,
        accelerator=run.accelerator,
    )

    num_paths = settings.questions_per_step * settings.group_size
    all_groups = run.reference is not None
    num_used = sum(group.is_trained(all_groups=all_groups) for group in sampled.mine)
    num_tokens, num_used = map(int, sum_over_processes([sum(group.num_tokens for group in sampled.mine), num_used], run.accelerator))
    batches = cut(
        sampled.mine,
        policy.device,
        size=StepSize(num_paths, num_tokens, settings.max_new_tokens),
        loss_mean=settings.loss_mean,
        token_budget=run.token_budget,
        shared=run.score is score_shared,
        all_groups=all_groups,
    )
    extra = missing_batches(run, batches)
    references = [reference_logprobs(run, batch) for batch in (*batches, *extra)]
    clock.lap("reference")

    policy.model.train()
    rate = settings.learning_rate * share_of_peak(settings.schedule, step, settings.num_steps, settings.warmup_ratio)
    updates, grad_norms = [], []
    old: list[Tensor | None] = [None] * len(batches)
    for _ in range(settings.num_updates):
        sums, old = add_gradients(run, batches, references[: len(batches)], old)
        add_gradients(run, extra, references[len(batches) :], [None] * len(extra))
        optimizers.sum_gradients(policy.model, run.accelerator)
        grad_norms.append(optimizers.update(policy.model, run.optimizer, rate, settings.max_grad_norm))
        updates.append(Sums(*sum_over_processes(astuple(sums), run.accelerator)))
    clock.lap("update")

    rows = gather_lists([(place, group.samples(step + 1)) for place, group in sampled.groups.items()], run.accelerator)
    samples = [group for _, group in sorted(rows, key=lambda row: row[0])]
    metrics = {**summary(samples), **counts(sampled, num_used), **means(updates)}
    metrics |= {"grad_norm": fmean(grad_norms), "learning_rate": rate, **clock.seconds()}
    metrics["tokens_per_second"] = metrics["tokens"] / metrics["seconds"]
    return Report(step + 1, settings.num_steps, metrics, tuple(sample for group in samples for sample in group))


def sample(run: Run, step: int, clock: Clock, drawn: Sequence[tuple[int, int]]) -> list[Group]:
    """Sample and reward a group for each (place in the step, question); the place decides what is sampled, not the company."""
    prompts = [run.get_prompt(question) for _, question in drawn]
    clock.lap("encode")
    run.policy.model.eval()
    rollouts = generate(
        run.policy,
        prompts,
        num_samples=run.settings.group_size,
        temperature=run.settings.temperature,
        max_new_tokens=run.settings.max_new_tokens,
        seeds=[(run.seed, step, place) for place, _ in drawn],
    )
    clock.lap("rollout")
    groups = judged_groups(run.policy, [question for _, question in drawn], prompts, rollouts, run.judge, run.settings)
    clock.lap("reward")
    return groups


def add_gradients(
    run: Run, batches: Sequence[MicroBatch], references: Sequence[Tensor | None], old: Sequence[Tensor | None]
) -> tuple[Sums, list[Tensor | None]]:
    """Add up the gradient of one update over all micro-batches; the old log-probabilities for the next are those of the first."""
    sums = Sums()
    known: list[Tensor | None] = []
    for batch, reference, before in zip(batches, references, old, strict=True):
        part, logprobs = add_gradient(run.policy, batch, reference, before, score=run.score, settings=run.settings)
        sums += part
        known.append(logprobs if before is None else before)
    return sums, known


def missing_batches(run: Run, batches: Sequence[MicroBatch]) -> list[MicroBatch]:
    """As many micro-batches that weigh nothing as this process lacks: shards are gathered by all processes in step or not at all."""
    num_missing = missing(len(batches), run.policy.model, run.accelerator)
    return [weightless(run.policy, run.get_prompt(0))] * num_missing


@torch.no_grad()
def reference_logprobs(run: Run, batch: MicroBatch) -> Tensor | None:
    """Log-probabilities (N,) under the reference, at the same temperature; None when there is none."""
    if run.reference is None:
        return None
    with without_adapters(run.reference.model):
        return run.score(run.reference, batch.prompts, batch.completions, run.settings.temperature).logprobs


def summary(samples: Sequence[Sequence[dict[str, Any]]]) -> dict[str, float]:
    """Means over all paths sampled in a step, those of groups that were replaced included: what the policy does, not what was picked.

    `reward` is what the preset pays; `zero_variance` the share of groups in which every advantage is 0.
    """
    paths = [path for group in samples for path in group]
    return {
        "reward": fmean(path["paid"] for path in paths),
        "step_rar": fmean(path["step_rar"] for path in paths),
        "step_rvr": fmean(path["step_rvr"] for path in paths),
        "k": fmean(path["k"] for path in paths),
        "accuracy": fmean(path["verdict"] == "correct" for path in paths),
        "unjudged": fmean(path["verdict"] in ("timeout", "error") for path in paths),
        "zero_variance": fmean(not any(path["advantage"] or any(path["step_advantages"]) for path in group) for group in samples),
        "mean_tokens": fmean(path["num_tokens"] for path in paths),
        "truncated": fmean(path["truncated"] for path in paths),
        "tokens": float(sum(path["num_tokens"] for path in paths)),
    }


def counts(sampled: Sampled, num_used: int) -> dict[str, float]:
    """`groups_sampled`, refilled ones included; `groups_skipped` of them took no part in the update; `refill_rounds` were needed."""
    return {
        "groups_sampled": float(sampled.num_groups),
        "groups_skipped": float(sampled.num_groups - num_used),
        "refill_rounds": float(sampled.num_rounds - 1),
    }


def means(updates: Sequence[Sums]) -> dict[str, float]:
    """Loss and KL of the first update, and means over the tokens scored in it, where the policy still is the one that sampled.

    `entropy` is in nats; `logprob_gap` is the mean difference between a token's log-probability when drawn and when trained.
    With more than one update, `clip_low` and `clip_high` are the shares of tokens that lost their gradient in the later ones.
    """
    first, later = updates[0], updates[1:]
    num_tokens = max(1.0, first.num_tokens)
    found = {
        "loss": first.loss,
        "kl": first.kl,
        "kl_clamped": first.num_clamped / num_tokens,
        "entropy": first.entropy / num_tokens,
        "logprob_gap": first.gap / num_tokens,
        "trained_tokens": first.num_tokens,
    }
    if later:
        num_later = max(1.0, sum(sums.num_tokens for sums in later))
        found["clip_low"] = sum(sums.num_clipped_low for sums in later) / num_later
        found["clip_high"] = sum(sums.num_clipped_high for sums in later) / num_later
    return found


class Clock:
    """Seconds of a step by phase; a GPU is waited for at each lap, so that a phase pays for its own work."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._started = self._last = time.monotonic()
        self._laps: dict[str, float] = {}

    def lap(self, phase: str) -> None:
        """End a phase; one that comes again adds up."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.monotonic()
        self._laps[f"seconds_{phase}"] = self._laps.get(f"seconds_{phase}", 0.0) + now - self._last
        self._last = now

    def seconds(self) -> dict[str, float]:
        """Every phase's seconds and `seconds` of all."""
        return {**self._laps, "seconds": self._last - self._started}
