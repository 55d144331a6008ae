"""Warm-up: supervised fine-tuning on reasoning paths, with the loss on the path's tokens only (paper, section 3.1)."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from r1vl_core.config import Warmup
from r1vl_core.policy.batch import pad_rows, prompt_positions, split_by_budget
from r1vl_core.policy.logprobs import TokenScores, score_rows
from r1vl_core.policy.model import Policy, Prompt
from r1vl_core.policy.room import GradientSpoiled, Limit, in_pieces, make_room
from r1vl_core.policy.sharding import is_sharded
from r1vl_core.report import Report
from r1vl_core.training import optimizer as optimizers
from r1vl_core.training.adapters import seed_dropout
from r1vl_core.training.checkpoint import Checkpoints, State
from r1vl_core.training.meters import flops_of_group, sizes_of, utilisation
from r1vl_core.training.order import Stream, subset
from r1vl_core.training.processes import missing, my_share, sum_over_processes
from r1vl_core.training.run import run_steps
from r1vl_core.training.schedule import share_of_peak
from r1vl_core.training.trained import choose_trained


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt with the path (C,) to learn, its end token included.

    >>> Example.__slots__
    ('prompt', 'path')
    """

    prompt: Prompt
    path: Tensor

    def __len__(self) -> int:
        return len(self.prompt) + len(self.path)


def train(
    policy: Policy,
    get_example: Callable[[int], Example],
    *,
    num_examples: int,
    settings: Warmup,
    seed: int,
    work_dir: Path | None = None,
    token_budget: int = 2048,
    accelerator: Any = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Report]:
    """Train `policy` in place, one report an optimiser step; resumes from the newest whole checkpoint in `work_dir`.

    `get_example(i)` encodes the i-th of `num_examples` when its turn comes, so that pictures need not be held in memory.
    The loss is the mean over the path tokens of all questions of a step, however the step is split into micro-batches of
    `token_budget` tokens or over processes. `should_stop` is asked after every step: if true the state is saved and training
    returns. Reports of steps taken before a resume are not yielded again; `checkpoint.read_reports(work_dir)` has them all.
    """
    if num_examples == 0:
        raise ValueError("warm-up was given no examples; every question was rejected, or the sources are empty")
    used = subset(num_examples, settings.max_questions, seed=seed)
    choose_trained(policy, settings, seed)
    run = Run(
        policy,
        lambda index: get_example(used[index]),
        Stream(len(used), seed),
        settings,
        seed,
        make_room(token_budget, longest="curate.max_path_tokens", is_sharded=is_sharded(policy.model)).tokens,
        accelerator,
        optimizers.adamw(policy.model, settings.learning_rate, settings.weight_decay),
    )
    identity = {"stage": "warmup", "seed": seed, "num_examples": num_examples, **settings.identity("save_every")}
    checkpoints = Checkpoints(work_dir, identity) if work_dir else None
    state = State(policy.model, run.optimizer, run.stream)
    policy.model.train()
    step = functools.partial(take_step, run)
    yield from run_steps(step, run.num_steps, checkpoints, settings.save_every, state, accelerator, should_stop)
    policy.model.eval()


@dataclass(frozen=True, slots=True)
class Run:
    """Everything a step needs, the same for all steps; only weights, optimiser, stream and, where memory is short, `tokens` change.

    >>> Run.__slots__[:2]
    ('policy', 'get_example')
    """

    policy: Policy
    get_example: Callable[[int], Example]
    stream: Stream
    settings: Warmup
    seed: int
    tokens: Limit
    accelerator: Any
    optimizer: torch.optim.Optimizer

    @property
    def num_drawn(self) -> int:
        """Examples drawn in all."""
        return max(1, round(self.settings.num_epochs * self.stream.num_items))

    @property
    def num_steps(self) -> int:
        """Optimiser steps, the last of which may draw fewer."""
        return math.ceil(self.num_drawn / self.settings.batch_size)


def take_step(run: Run, step: int) -> Report:
    """Draw a batch, follow its gradient, and say what that came to."""
    policy, settings, accelerator, started = run.policy, run.settings, run.accelerator, time.monotonic()
    drawn = run.stream.take(min(settings.batch_size, run.num_drawn - step * settings.batch_size))
    batch = [run.get_example(index) for index in my_share(drawn, accelerator)]
    seed_dropout(settings.lora, run.seed, step, 0 if accelerator is None else accelerator.process_index)
    rate = settings.learning_rate * share_of_peak(settings.schedule, step, run.num_steps, settings.warmup_ratio)
    num_halved = run.tokens.num_halved
    metrics = backward(policy, batch, run.tokens, accelerator, run.get_example)
    (metrics["memory_halvings"],) = sum_over_processes([float(run.tokens.num_halved - num_halved)], accelerator)
    metrics["grad_norm"] = optimizers.update(policy.model, run.optimizer, rate, settings.max_grad_norm)
    seconds = time.monotonic() - started
    flops = 3 * sum(flops_of_group(sizes_of(policy), example.prompt, [len(example.path)]) for example in batch)
    metrics |= {"learning_rate": rate, "seconds": seconds, **utilisation(policy, flops, seconds)}
    return Report(step + 1, run.num_steps, metrics)


def backward(
    policy: Policy,
    batch: Sequence[Example],
    tokens: Limit,
    accelerator: Any = None,
    get_example: Callable[[int], Example] | None = None,
) -> dict[str, float]:
    """Add the gradient of the mean loss over the batch's path tokens; loss, token accuracy and token count of all processes.

    Micro-batches hold at most `tokens`, and less once memory has run out. `get_example` is for a sharded policy, whose processes take
    equally many forwards: where one lacks some, it takes an example that does not count. Raises ValueError when one path does not fit.
    """
    (num_tokens,) = sum_over_processes([float(sum(len(example.path) for example in batch))], accelerator)
    micro_batches = split(batch, tokens.value)
    num_missing = missing(len(micro_batches), policy.model, accelerator)
    parts = in_pieces(micro_batches, lambda some: add_gradient(policy, some, num_tokens), tokens, padded_tokens, split)
    for _ in range(num_missing):
        assert get_example is not None
        (score_examples(policy, [get_example(0)]).logprobs.sum() * 0.0).backward()
    optimizers.sum_gradients(policy.model, accelerator)
    sums = [sum(part[place] for part in parts) for place in (0, 1)]
    loss, num_right = sum_over_processes(sums, accelerator)
    return {"loss": loss, "token_accuracy": num_right / num_tokens, "tokens": num_tokens}


def add_gradient(policy: Policy, examples: Sequence[Example], num_tokens: float) -> tuple[float, float]:
    """Add the gradient of some examples' part of a mean over `num_tokens`; that part, and how many tokens were the likeliest.

    Raises GradientSpoiled, with the whole gradient cleared, when memory runs out in the backward pass.
    """
    scores = score_examples(policy, examples)
    part = -scores.logprobs.sum() / num_tokens
    try:
        part.backward()
    except torch.OutOfMemoryError as error:
        policy.model.zero_grad(set_to_none=True)
        raise GradientSpoiled(str(error)) from None
    return part.item(), float(scores.is_top.sum())


def split(examples: Sequence[Example], token_budget: int) -> list[list[Example]]:
    """Micro-batches within the budget, the longest examples first; a single one is never cut."""
    return [[examples[index] for index in indices] for indices in split_by_budget(list(map(len, examples)), token_budget)]


def padded_tokens(examples: Sequence[Example]) -> int:
    """Tokens that a forward of them computes."""
    return len(examples) * max(map(len, examples))


def score_examples(policy: Policy, examples: Sequence[Example]) -> TokenScores:
    """Scores of all path tokens, example after example."""
    prompts = [example.prompt for example in examples]
    positions = [prompt_positions(policy, prompt) for prompt in prompts]
    return score_rows(policy, pad_rows(policy, prompts, positions, [example.path for example in examples]), mask_forbidden=False)
