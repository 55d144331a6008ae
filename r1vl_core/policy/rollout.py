"""Sample M responses to each question: one prefill a question, one decode batch, rows leave when they end.

Every row has its own stream of random numbers, so that what is sampled for a question does not depend on the company it is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from r1vl_core.policy.batch import pad_rows, prompt_positions
from r1vl_core.policy.cache import GrowingCache
from r1vl_core.policy.logprobs import autocast, forbidden_tokens, last_hidden, scaled_logits
from r1vl_core.policy.model import Policy, Prompt

_ROOM = 64
"""Columns reserved at a time; a path is seldom as long as it may be."""


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
    temperature: float | None = None,
    seeds: Sequence[tuple[int, ...]] = (),
    token_budget: int = 2**18,
) -> list[Rollout]:
    """`num_samples` responses to each prompt, those to one prompt side by side, prompts in the order given.

    `temperature` None decodes greedily; otherwise tokens are drawn from softmax(logits / temperature) and nothing else, and
    `seeds` holds one tuple of integers for each prompt that decides its draws. The policy's forbidden tokens are never produced.
    `token_budget` bounds the tokens held in the cache at once, prompt and room for the response counted for every row.
    """
    if temperature is not None and len(seeds) != len(prompts):
        raise ValueError(f"sampling needs a seed for each of {len(prompts)} prompts, given {len(seeds)}")
    rollouts: list[Rollout | None] = [None] * (len(prompts) * num_samples)
    for indices in _decode_batches(prompts, num_samples, max_new_tokens, token_budget):
        noise = None
        if temperature is not None:
            noise = _uniforms([seeds[index] for index in indices], num_samples, max_new_tokens)
        some = [prompts[index] for index in indices]
        made = _decode(policy, some, num_samples, temperature or 1.0, max_new_tokens, noise)
        for place, index in enumerate(indices):
            rollouts[index * num_samples : (index + 1) * num_samples] = made[place * num_samples : (place + 1) * num_samples]
    return [rollout for rollout in rollouts if rollout is not None]


def _decode_batches(prompts: Sequence[Prompt], num_samples: int, max_new_tokens: int, token_budget: int) -> list[list[int]]:
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    batches: list[list[int]] = []
    for index in order:
        rows = (len(batches[-1]) + 1) * num_samples if batches else 0
        if batches and rows * (len(prompts[batches[-1][0]]) + max_new_tokens) <= token_budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def _uniforms(seeds: Sequence[tuple[int, ...]], num_samples: int, max_new_tokens: int) -> Tensor:
    """Numbers in [0, 1) for every row and token (B, max_new_tokens), with 23 bits so that products stay below 1 in fp32."""
    streams = [np.random.default_rng([*seed, sample]) for seed in seeds for sample in range(num_samples)]
    drawn = np.stack([stream.integers(0, 2**23, size=max_new_tokens, dtype=np.uint32) for stream in streams])
    return torch.from_numpy(drawn.astype(np.float32) / 2**23)


def draw(logits: Tensor, uniforms: Tensor) -> Tensor:
    """One token a row (B,) from softmax(logits (B, V)): the first whose cumulative probability exceeds the row's uniform."""
    cumulative = torch.softmax(logits, dim=-1).cumsum(-1)
    # Scaled by the total, which rounding leaves a little beside 1, a uniform can never pass the last token with any probability.
    return torch.searchsorted(cumulative, (uniforms * cumulative[:, -1])[:, None], right=True)[:, 0]


@dataclass(slots=True)
class _Live:
    """The rows still being decoded: which they are, the prompt's padded width and real lengths, and where each goes on."""

    cache: GrowingCache
    hidden: Tensor
    rows: Tensor
    prompt_lengths: Tensor
    next_positions: Tensor
    done: Tensor
    prompt_width: int
    is_padded: bool

    def keep(self, kept: Tensor, room: int) -> None:
        """Go on with the rows at `kept` (repeats allowed) and room for that many more tokens."""
        self.cache.reserve(kept, room)
        self.hidden, self.rows, self.done = self.hidden[kept], self.rows[kept], self.done[kept]
        self.prompt_lengths, self.next_positions = self.prompt_lengths[kept], self.next_positions[kept]
        self.is_padded = bool((self.prompt_lengths < self.prompt_width).any())

    def mask(self) -> Tensor | None:
        """Additive mask (B, 1, 1, columns) that hides the padding between a prompt and its response; None without padding."""
        if not self.is_padded:
            return None
        columns = torch.arange(self.cache.get_seq_length() + 1, device=self.rows.device)
        hidden = (columns >= self.prompt_lengths[:, None]) & (columns < self.prompt_width)
        mask = torch.zeros(hidden.shape, dtype=self.cache.dtype, device=hidden.device)
        return mask.masked_fill_(hidden, torch.finfo(mask.dtype).min)[:, None, None]

    def advance(self, policy: Policy, tokens: Tensor, step: int) -> None:
        """Feed each row the token it drew."""
        positions = (self.next_positions + step).expand(3, -1)[..., None]
        hidden = last_hidden(
            policy, input_ids=tokens[:, None], position_ids=positions, attention_mask=self.mask(), past_key_values=self.cache
        )
        self.hidden = hidden[:, -1]


@torch.inference_mode()
def _decode(
    policy: Policy, prompts: Sequence[Prompt], num_samples: int, temperature: float, max_new_tokens: int, noise: Tensor | None
) -> list[Rollout]:
    device, forbidden = policy.device, forbidden_tokens(policy)
    ends = torch.tensor(policy.end_token_ids, device=device)
    noise = None if noise is None else noise.to(device)
    token_ids = torch.full((len(prompts) * num_samples, max_new_tokens), policy.pad_token_id, device=device)
    logprobs = torch.zeros(token_ids.shape, device=device)
    with autocast(policy):
        live = _prefill(policy, prompts)
        live.keep(torch.arange(len(token_ids), device=device) // num_samples, min(_ROOM, max_new_tokens))
        live.rows = torch.arange(len(token_ids), device=device)
        for step in range(max_new_tokens):
            logits = scaled_logits(policy.model.lm_head, live.hidden, temperature, forbidden)
            tokens = logits.argmax(-1) if noise is None else draw(logits, noise[live.rows, step])
            token_ids[live.rows, step] = tokens
            logprobs[live.rows, step] = logits.gather(-1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
            live.done |= torch.isin(tokens, ends)
            num_done = int(live.done.sum())
            if num_done == len(tokens) or step + 1 == max_new_tokens:
                break
            if num_done * 4 >= len(tokens) or live.cache.is_full:
                kept = (~live.done).nonzero()[:, 0]
                live.keep(kept, min(_ROOM, max_new_tokens - step))
                tokens = tokens[kept]
            live.advance(policy, tokens, step)
    return _collect(policy, prompts, num_samples, token_ids.cpu(), logprobs.cpu())


def _prefill(policy: Policy, prompts: Sequence[Prompt]) -> _Live:
    # Padded on the right: causal attention needs no mask then, and the columns of padding are hidden while decoding.
    positions = [prompt_positions(policy, prompt) for prompt in prompts]
    rows = pad_rows(policy, prompts, positions, [torch.empty(0, dtype=torch.int64)] * len(prompts))
    cache = GrowingCache()
    hidden = last_hidden(
        policy,
        input_ids=rows.input_ids,
        position_ids=rows.position_ids,
        pixel_values=rows.pixel_values,
        image_grid_thw=rows.image_grid_thw,
        past_key_values=cache,
    )
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=policy.device)
    starts = torch.tensor([int(at.max()) + 1 for at in positions], device=policy.device)
    every = torch.arange(len(prompts), device=policy.device)
    done = torch.zeros_like(every, dtype=torch.bool)
    return _Live(cache, hidden[every, lengths - 1], every, lengths, starts, done, hidden.shape[1], is_padded=True)


def _collect(policy: Policy, prompts: Sequence[Prompt], num_samples: int, token_ids: Tensor, logprobs: Tensor) -> list[Rollout]:
    ended = torch.isin(token_ids, torch.tensor(policy.end_token_ids))
    rollouts = []
    for row, (tokens, scores) in enumerate(zip(token_ids.tolist(), logprobs.tolist(), strict=True)):
        ends = ended[row].nonzero()
        length = int(ends[0]) + 1 if len(ends) else len(tokens)
        question_id = prompts[row // num_samples].question_id
        rollouts.append(Rollout(question_id, tuple(tokens[:length]), tuple(scores[:length]), truncated=not len(ends)))
    return rollouts
