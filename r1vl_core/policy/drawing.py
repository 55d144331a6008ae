"""One token for every row that is decoded: drawn, scored, written down, fed. A step is a number, or a tensor (1,) of one on the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from r1vl_core.policy.cache import OwnCache
from r1vl_core.policy.logprobs import forbidden_tokens, last_hidden, scaled_logits
from r1vl_core.policy.model import Policy
from r1vl_core.policy.shared_decode import SharedCache

ROOM = 64
"""Columns reserved at a time; a path is seldom as long as it may be."""


def draw(logits: Tensor, uniforms: Tensor) -> Tensor:
    """One token a row (B,) from softmax(logits (B, V)): the first whose cumulative probability exceeds the row's uniform.

    Where the logits are no numbers it is the last, so that nothing is looked up beyond the vocabulary before that is found out.
    """
    cumulative = torch.softmax(logits, dim=-1).cumsum(-1)
    # Scaled by the total, which rounding leaves a little beside 1, a uniform can never pass the last token with any probability.
    drawn = torch.searchsorted(cumulative, (uniforms * cumulative[:, -1])[:, None], right=True)[:, 0]
    return drawn.clamp_(max=logits.shape[-1] - 1)


@dataclass(slots=True)
class Live:
    """The B rows still being decoded: which they are, the last hidden state of each (B, H), the position it goes on at, and whether it has
    ended."""

    cache: SharedCache | OwnCache
    hidden: Tensor
    rows: Tensor
    next_positions: Tensor
    done: Tensor

    def keep(self, kept: Tensor, room: int) -> None:
        """Go on with the rows at `kept` and room for that many more tokens."""
        self.cache.keep(kept, room)
        self.hidden, self.rows, self.done = self.hidden[kept], self.rows[kept], self.done[kept]
        self.next_positions = self.next_positions[kept]

    def advance(self, policy: Policy, tokens: Tensor, step: int | Tensor) -> Tensor:
        """Feed each row the token it drew; the next hidden states (B, H)."""
        positions = (self.next_positions + step).expand(3, -1)[..., None]
        given = {"input_ids": tokens[:, None], "position_ids": positions, "past_key_values": self.cache, **self.cache.inputs()}
        with self.cache.attention(policy):
            return last_hidden(policy, **given)[:, -1]


@dataclass(frozen=True, slots=True)
class Drawing:
    """How a batch of responses is drawn, and what has been: `token_ids` and `logprobs` (rows, max_new_tokens), of all rows from the start.

    `noise` (rows, max_new_tokens) are the uniforms that decide the draws; None decodes greedily.

    >>> Drawing.__slots__[:2]
    ('policy', 'temperature')
    """

    policy: Policy
    temperature: float
    forbidden: Tensor | None
    ends: Tensor
    noise: Tensor | None
    token_ids: Tensor
    logprobs: Tensor

    @classmethod
    def begin(cls, policy: Policy, num_rows: int, max_new_tokens: int, temperature: float, noise: Tensor | None) -> Drawing:
        """Nothing has been drawn yet."""
        device = policy.device
        token_ids = torch.full((num_rows, max_new_tokens), policy.pad_token_id, device=device)
        ends = torch.tensor(policy.end_token_ids, device=device)
        noise = None if noise is None else noise.to(device)
        return cls(policy, temperature, forbidden_tokens(policy), ends, noise, token_ids, torch.zeros(token_ids.shape, device=device))

    @property
    def max_new_tokens(self) -> int:
        """How long a response may be."""
        return int(self.token_ids.shape[1])

    def draw(self, live: Live, step: int | Tensor) -> Tensor:
        """One token for each row (B,), written down with its log-probability; rows whose response it ends are done."""
        logits = scaled_logits(self.policy.model.lm_head, live.hidden, self.temperature, self.forbidden)
        tokens = logits.argmax(-1) if self.noise is None else draw(logits, self.noise[live.rows, step])
        self.token_ids[live.rows, step] = tokens
        self.logprobs[live.rows, step] = logits.gather(-1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
        live.done |= torch.isin(tokens, self.ends)
        return tokens
