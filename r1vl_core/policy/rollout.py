"""Sample M responses to each question: one prefill a question, one decode batch, rows leave when they end.

A prompt's keys and values are held once for all its rows where the model's attention is known, once a row otherwise. Prompts that hold
the same pictures have them encoded once (`shared_pictures`).

Every row has its own stream of random numbers, so that what is sampled for a question does not depend on the company it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from r1vl_core.policy.batch import pad_rows, prompt_positions
from r1vl_core.policy.cache import OwnCache
from r1vl_core.policy.drawing import ROOM, Drawing, Live
from r1vl_core.policy.fixed_decode import FixedCache, decode_in_graphs
from r1vl_core.policy.logprobs import autocast, last_hidden
from r1vl_core.policy.model import Policy, Prompt
from r1vl_core.policy.precision import is_bf16, without_gradients
from r1vl_core.policy.sharding import whole
from r1vl_core.policy.shared_decode import SharedCache
from r1vl_core.policy.shared_pictures import distinct_pictures, picture_inputs
from r1vl_core.policy.shared_prefix import SUPPORTED


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled response: `token_ids` up to and including its end token, each with its log-probability when it was drawn.

    `truncated` says that it never ended.

    >>> Rollout("q1", (17, 4, 2), (-0.5, -1.25, -0.125), truncated=False).truncated
    False
    """

    question_id: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    truncated: bool


def generate(
    policy: Policy,
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int,
    num_samples: int = 1,
    first_sample: int = 0,
    temperature: float | None = None,
    seeds: Sequence[tuple[int, ...]] = (),
    token_budget: int = 2**18,
    shared: bool = True,
    progress: Callable[[int], None] = lambda _num_tokens: None,
) -> list[Rollout]:
    """`num_samples` responses to each prompt, those to one prompt side by side, prompts in the order given.

    `temperature` None decodes greedily; otherwise tokens are drawn from softmax(logits / temperature) and nothing else, and
    `seeds` holds one tuple of integers for each prompt that decides its draws; a group drawn in parts says with `first_sample` which of
    its responses a part begins with. The policy's forbidden tokens are never produced.
    `shared` holds each prompt once where the model is known to allow it; without it every row has its own, in the model's own cache and
    only prompts of one length side by side. Raises ValueError where `policy.decoding` is "graphs" and it cannot.
    `token_budget` bounds the tokens held in the cache at once: prompts as often as they are held, and room for every response.
    `progress` is told after every token how many each response that is under way has by now.
    A sharded policy is gathered for it: all processes call it equally often, be it without a prompt.
    Raises FloatingPointError, naming a question, for a policy whose log-probabilities are not finite numbers.
    """
    if temperature is not None and len(seeds) != len(prompts):
        raise ValueError(f"sampling needs a seed for each of {len(prompts)} prompts, given {len(seeds)}")
    rollouts: list[Rollout | None] = [None] * (len(prompts) * num_samples)
    shared = shared and policy.model.config.model_type in SUPPORTED
    if policy.decoding == "graphs" and not shared:
        raise ValueError(
            f'decode "graphs" needs prompts that are held once for their rows, which this {policy.model.config.model_type} does not allow; '
            'use "eager"'
        )
    with whole(policy.model):
        for indices in _decode_batches(prompts, num_samples, max_new_tokens, token_budget, shared=shared):
            noise = None
            if temperature is not None:
                noise = _uniforms([seeds[index] for index in indices], range(first_sample, first_sample + num_samples), max_new_tokens)
            some = [prompts[index] for index in indices]
            cache = FixedCache() if policy.decoding == "graphs" else SharedCache() if shared else OwnCache(policy)
            made = _decode(policy, cache, some, num_samples, temperature or 1.0, max_new_tokens, noise, progress)
            for place, index in enumerate(indices):
                rollouts[index * num_samples : (index + 1) * num_samples] = made[place * num_samples : (place + 1) * num_samples]
    return [rollout for rollout in rollouts if rollout is not None]


def _decode_batches(
    prompts: Sequence[Prompt], num_samples: int, max_new_tokens: int, token_budget: int, *, shared: bool
) -> list[list[int]]:
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    batches: list[list[int]] = []
    for index in order:
        longest = len(prompts[batches[-1][0]]) if batches else 0
        for_one = num_samples * max_new_tokens + (longest if shared else num_samples * longest)
        fits = shared or len(prompts[index]) == longest
        if batches and fits and (len(batches[-1]) + 1) * for_one <= token_budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def _uniforms(seeds: Sequence[tuple[int, ...]], samples: range, max_new_tokens: int) -> Tensor:
    """Numbers in [0, 1) for every row and token (B, max_new_tokens), with 23 bits so that products stay below 1 in fp32."""
    streams = [np.random.default_rng([*seed, sample]) for seed in seeds for sample in samples]
    drawn = np.stack([stream.integers(0, 2**23, size=max_new_tokens, dtype=np.uint32) for stream in streams])
    return torch.from_numpy(drawn.astype(np.float32) / 2**23)


def _decode(
    policy: Policy,
    cache: SharedCache | OwnCache,
    prompts: Sequence[Prompt],
    num_samples: int,
    temperature: float,
    max_new_tokens: int,
    noise: Tensor | None,
    progress: Callable[[int], None],
) -> list[Rollout]:
    with without_gradients(policy.model, is_bf16=is_bf16(policy.precision, policy.device.type)), autocast(policy):
        drawing = Drawing.begin(policy, len(prompts) * num_samples, max_new_tokens, temperature, noise)
        live = _prefill(policy, cache, prompts, num_samples, min(ROOM, max_new_tokens))
        if isinstance(cache, FixedCache):
            decode_in_graphs(drawing, live, cache, progress)
        else:
            _decode_eagerly(drawing, live, progress)
    return _collect(policy, prompts, num_samples, drawing.token_ids.cpu(), drawing.logprobs.cpu())


def _decode_eagerly(drawing: Drawing, live: Live, progress: Callable[[int], None]) -> None:
    for step in range(drawing.max_new_tokens):
        tokens = drawing.draw(live, step)
        progress(step + 1)
        num_done = int(live.done.sum())
        if num_done == len(tokens) or step + 1 == drawing.max_new_tokens:
            return
        if num_done * 4 >= len(tokens) or live.cache.is_full:
            kept = (~live.done).nonzero()[:, 0]
            live.keep(kept, min(ROOM, drawing.max_new_tokens - step))
            tokens = tokens[kept]
        live.hidden = live.advance(drawing.policy, tokens, step)


def _prefill(policy: Policy, cache: SharedCache | OwnCache, prompts: Sequence[Prompt], num_samples: int, room: int) -> Live:
    # Padded on the right: causal attention needs no mask then, and the columns of padding are hidden while decoding.
    positions = [prompt_positions(policy, prompt) for prompt in prompts]
    nothing = [torch.empty(0, dtype=torch.int64)] * len(prompts)
    padded = pad_rows(policy, prompts, positions, nothing, distinct_pictures(policy, prompts))
    pictures = picture_inputs(policy, prompts, padded)
    hidden = last_hidden(policy, input_ids=padded.input_ids, position_ids=padded.position_ids, past_key_values=cache, **pictures)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=policy.device)
    starts = torch.tensor([int(at.max()) + 1 for at in positions], device=policy.device)
    rows = torch.arange(len(prompts) * num_samples, device=policy.device)
    prompt_of = rows // num_samples
    cache.fan_out(prompt_of, lengths, room)
    return Live(cache, hidden[prompt_of, lengths[prompt_of] - 1], rows, starts[prompt_of], torch.zeros_like(rows, dtype=torch.bool))


def _collect(policy: Policy, prompts: Sequence[Prompt], num_samples: int, token_ids: Tensor, logprobs: Tensor) -> list[Rollout]:
    if len(broken := (~logprobs.isfinite()).any(-1).nonzero()):
        raise FloatingPointError(
            f"question {prompts[int(broken[0]) // num_samples].question_id}: the policy's log-probabilities are not finite numbers; its "
            "weights are none, or its forward overflows: begin with another checkpoint, or use R1VL_PRECISION=fp32"
        )
    ended = torch.isin(token_ids, torch.tensor(policy.end_token_ids))
    rollouts = []
    for row, (tokens, scores) in enumerate(zip(token_ids.tolist(), logprobs.tolist(), strict=True)):
        ends = ended[row].nonzero()
        length = int(ends[0]) + 1 if len(ends) else len(tokens)
        question_id = prompts[row // num_samples].question_id
        rollouts.append(Rollout(question_id, tuple(tokens[:length]), tuple(scores[:length]), truncated=not len(ends)))
    return rollouts
