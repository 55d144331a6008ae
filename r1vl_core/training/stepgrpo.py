"""StepGRPO: sample a group of paths for each question, reward every path by rule, reinforce what beats its group (paper, section 3.2)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from r1vl_core.config import StepGRPO
from r1vl_core.policy.logprobs import score_shared
from r1vl_core.policy.model import Policy, Prompt
from r1vl_core.policy.room import Room, generate_in_room, make_room
from r1vl_core.policy.sharding import is_sharded
from r1vl_core.report import Report
from r1vl_core.training import optimizer as optimizers
from r1vl_core.training import stopping
from r1vl_core.training.adapters import without_adapters
from r1vl_core.training.backward import MicroBatch, Score, Sums, choose_forward, cut, weightless
from r1vl_core.training.checkpoint import Checkpoints, State
from r1vl_core.training.clock import Clock
from r1vl_core.training.groups import Group, Judge, judged_groups
from r1vl_core.training.losses import StepSize
from r1vl_core.training.meters import utilisation, work_of_step
from r1vl_core.training.metrics import counts, means, summary
from r1vl_core.training.order import Stream, draw
from r1vl_core.training.probe import NUM_QUESTIONS, image_gain, warn_if_blind
from r1vl_core.training.processes import gather_lists, is_first, missing, sum_over_processes, wait_for_all
from r1vl_core.training.run import run_steps
from r1vl_core.training.sampling import sample_groups
from r1vl_core.training.schedule import share_of_peak
from r1vl_core.training.self_check import checked_ways
from r1vl_core.training.trained import choose_trained
from r1vl_core.training.validation import Validation, accuracy, note_accuracy
from r1vl_core.training.work import Forward, Work


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
    validation: Validation | None = None,
) -> Iterator[Report]:
    """Train `policy` in place, one report a step; resumes from the newest whole checkpoint in `work_dir`.

    `get_prompt(i)` encodes the i-th of `num_questions`, `judge(i, text)` rewards a response to it. `reference` is the frozen warm-up
    policy and may be None when `settings.beta` is 0, or with `settings.lora`: it then is the policy without its adapters. `seed` decides
    the order of the questions and every sampled token.
    `should_stop` is asked after every step: if true the state is saved and training returns. Reports of steps taken before a resume
    are not yielded again; `checkpoint.read_reports(work_dir)` has them all. A finished run leaves in `policy` the weights it hands on;
    where those are not the last (`settings.keep`, `max_kl`, `min_reward`), `work_dir` says which and why (`stopping.OUTCOME`).
    Raises ValueError for settings that lack what they need, RewardFailed and ValueError for rewards (`groups.judged_groups`) and for a
    path too large for the memory.
    """
    reference = policy if settings.lora else reference
    _refuse_what_is_lacking(settings, reference, validation, num_questions, work_dir)
    choose_trained(policy, settings, seed)
    run = Run(
        policy,
        reference if settings.beta > 0 else None,
        get_prompt,
        judge,
        Stream(num_questions, seed),
        settings,
        seed,
        make_room(token_budget, longest="stepgrpo.max_new_tokens", is_sharded=is_sharded(policy.model)),
        accelerator,
        choose_forward(policy, settings.forward),
        optimizers.adamw(policy.model, settings.learning_rate, settings.weight_decay),
        validation,
        {"good_step": 0} if stopping.has_limits(settings) or settings.keep == "best" else {},
    )
    ignored = ("save_every", "keep_checkpoints", "forward", "probe_every", "reward_limit_s")
    identity = {"stage": "stepgrpo", "seed": seed, "num_questions": num_questions, **settings.identity(*ignored)}
    checkpoints = Checkpoints(work_dir, identity, settings.keep_checkpoints) if work_dir else None
    yield from run_steps(
        functools.partial(take_watched_step, run),
        settings.num_steps,
        checkpoints,
        settings.save_every,
        State(policy.model, run.optimizer, run.stream, run.notes),
        accelerator,
        should_stop,
    )
    if checkpoints:
        hand_on(run, checkpoints)
    policy.model.eval()


def _refuse_what_is_lacking(
    settings: StepGRPO, reference: Policy | None, validation: Validation | None, num_questions: int, work_dir: Path | None
) -> None:
    if num_questions == 0:
        raise ValueError("StepGRPO was given no questions; every question was rejected, or none has key steps")
    if settings.beta > 0 and reference is None:
        raise ValueError(f"stepgrpo.beta is {settings.beta}, which needs a reference policy; give one or set beta to 0")
    if settings.eval_every and (validation is None or validation.num_questions == 0):
        raise ValueError(f"stepgrpo.eval_every is {settings.eval_every}, which needs validation questions; give some or set it to 0")
    if work_dir is None and (settings.keep == "best" or stopping.has_limits(settings)):
        raise ValueError("keeping a policy other than the last needs a work_dir for its checkpoints; give one")


@dataclass(frozen=True, slots=True)
class Run:
    """Everything a step needs, the same for all steps; only the state (weights, optimiser, stream, notes) and, where memory is short,
    the room change from one to the next.

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
    room: Room
    accelerator: Any
    score: Score
    optimizer: torch.optim.Optimizer
    validation: Validation | None
    notes: dict[str, Any]
    shared_decode: bool = True


def take_watched_step(run: Run, step: int) -> Report:
    """Take a step in the way that suits the model, evaluate when it is time, and note what may end the run."""
    settings, num_halved = run.settings, run.room.num_halved
    (first,) = draw(run.stream.num_items, 0, 1, seed=run.seed)
    ask = functools.partial(run.get_prompt, first)
    ways = checked_ways(run.notes, run.policy, ask, run.score, run.room, settings, seed=run.seed, accelerator=run.accelerator)
    run = replace(run, score=ways.score, shared_decode=ways.shared_decode)
    start = note_start(run) if step == 0 else {}
    report = take_step(run, step)
    report.metrics.update(start)
    if run.validation and settings.eval_every and (report.step % settings.eval_every == 0 or report.step == settings.num_steps):
        found = accuracy(run.policy, run.validation, settings, run.room, run.accelerator, shared_decode=run.shared_decode)
        report.metrics["validation_accuracy"] = found
        if settings.keep == "best":
            note_accuracy(run.notes, report.step, found)
    (report.metrics["memory_halvings"],) = sum_over_processes([float(run.room.num_halved - num_halved)], run.accelerator)
    if stopping.has_limits(settings):
        stopping.note_step(run.notes, report.step, report.metrics, settings)
    return report


def hand_on(run: Run, checkpoints: Checkpoints) -> None:
    """Give the policy of a finished run the weights that are handed on; a run that was merely interrupted keeps those it has."""
    is_finished = "stopped_early" in run.notes or run.notes.get("saved_step") == run.settings.num_steps
    step = stopping.step_handed_on(run.notes, run.settings)
    if not is_finished or step is None:
        return
    wait_for_all(run.accelerator)  # the first process may still be writing it
    checkpoints.load_weights(step, run.policy.model)
    if is_first(run.accelerator):
        stopping.say_so(run.notes, step)
        stopping.write_outcome(checkpoints.folder, run.notes, step)


def note_start(run: Run) -> dict[str, float]:
    """Where the best policy is to be kept: the accuracy of the one that training begins with, which may be it."""
    if run.validation is None or run.settings.keep != "best":
        return {}
    found = accuracy(run.policy, run.validation, run.settings, run.room, run.accelerator, shared_decode=run.shared_decode)
    note_accuracy(run.notes, 0, found)
    return {"start_accuracy": found}


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
    num_scored, num_used = map(int, sum_over_processes([sum(group.num_tokens for group in sampled.mine), num_used], run.accelerator))
    batches = cut(
        sampled.mine,
        policy.device,
        size=StepSize(num_paths, num_scored, settings.max_new_tokens),
        loss_mean=settings.loss_mean,
        token_budget=run.room.tokens.value,
        shared=run.score is score_shared,
        all_groups=all_groups,
    )
    gain = probe(run, step, sampled.first(NUM_QUESTIONS))
    clock.lap("probe")
    forward = Forward(policy, run.score, run.room)
    own, extra = (
        forward.with_references([Work(batch) for batch in some], functools.partial(reference_logprobs, run))
        for some in (batches, missing_batches(run, batches))
    )
    clock.lap("reference")

    policy.model.train()
    rate = settings.learning_rate * share_of_peak(settings.schedule, step, settings.num_steps, settings.warmup_ratio)
    updates, grad_norms = [], []
    for _ in range(settings.num_updates):
        sums, own = forward.add_gradients(own, settings)
        forward.add_gradients(extra, settings)
        optimizers.sum_gradients(policy.model, run.accelerator)
        grad_norms.append(optimizers.update(policy.model, run.optimizer, rate, settings.max_grad_norm))
        updates.append(Sums(*sum_over_processes(astuple(sums), run.accelerator)))
    clock.lap("update")

    rows = gather_lists([(place, group.samples(step + 1, place)) for place, group in sampled.groups.items()], run.accelerator)
    samples = [group for _, group in sorted(rows, key=lambda row: row[0])]
    metrics = {**summary(samples), **counts(sampled, num_used), **means(updates)}
    metrics |= {"grad_norm": fmean(grad_norms), "learning_rate": rate, **gain, **clock.seconds()}
    metrics["tokens_per_second"] = metrics["tokens"] / metrics["seconds"]
    trained = [group for group in sampled.mine if group.is_trained(all_groups=all_groups)]
    flops, tokens = work_of_step(
        policy, sampled.groups.values(), trained, has_reference=run.reference is not None, num_updates=settings.num_updates
    )
    metrics |= dict(zip(tokens, sum_over_processes([*tokens.values()], run.accelerator), strict=True))
    metrics |= utilisation(policy, flops, metrics["seconds"])
    return Report(step + 1, settings.num_steps, metrics, tuple(sample for group in samples for sample in group))


def sample(run: Run, step: int, clock: Clock, drawn: Sequence[tuple[int, int]]) -> list[Group]:
    """Sample and reward a group for each (place in the step, question); the place decides what is sampled, not the company."""
    prompts = [run.get_prompt(question) for _, question in drawn]
    clock.lap("encode")
    run.policy.model.eval()
    rollouts = generate_in_room(
        run.room,
        run.policy,
        prompts,
        num_samples=run.settings.group_size,
        temperature=run.settings.temperature,
        max_new_tokens=run.settings.max_new_tokens,
        seeds=[(run.seed, step, place) for place, _ in drawn],
        shared=run.shared_decode,
    )
    clock.lap("rollout")
    groups = judged_groups(run.policy, [question for _, question in drawn], prompts, rollouts, run.judge, run.settings)
    clock.lap("reward")
    return groups


def probe(run: Run, step: int, groups: Sequence[Group]) -> dict[str, float]:
    """Every `probe_every` steps, the first included: what the pictures are worth to the policy."""
    if not run.settings.probe_every or step % run.settings.probe_every:
        return {}

    others = [run.get_prompt((step + at) % run.stream.num_items) for at in range(3)]
    gain = image_gain(run.room, run.score, run.policy, groups, others, temperature=run.settings.temperature, accelerator=run.accelerator)
    warn_if_blind(gain, step + 1, run.accelerator)
    return gain


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
