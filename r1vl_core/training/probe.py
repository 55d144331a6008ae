"""Does the policy see? What a question's own picture is worth to it, against the picture of another question.

`image_gain` is the mean, over the tokens of a few of the step's paths, of log pi(token | own picture) - log pi(token | another picture),
in nats a token. A policy that looks has a gain above 0, for it drew these paths from the first of the two; one whose picture goes nowhere
(features cut off, placeholders at the wrong place, text positions on image tokens and weights that learnt to ignore them) has 0.

The other picture is fitted into the place of the own one, so that prompt, length and positions stay what they are.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from r1vl_core.policy.model import Policy, Prompt
from r1vl_core.policy.room import Room
from r1vl_core.policy.sharding import whole
from r1vl_core.training.backward import Score
from r1vl_core.training.groups import Group
from r1vl_core.training.processes import is_first, sum_over_processes
from r1vl_core.training.work import Forward

NUM_QUESTIONS = 4
"""Questions probed, over all processes, with one path each."""

MIN_GAIN = 1e-5
"""Nats a token; rounding stays below."""

logger = logging.getLogger(__name__)


def image_gain(
    room: Room,
    score: Score,
    policy: Policy,
    groups: Sequence[Group],
    others: Sequence[Prompt],
    *,
    temperature: float,
    accelerator: Any,
) -> dict[str, float]:
    """`image_gain` by that name, over the `groups` of all processes; nothing when no picture differs from those of `others`.

    `others` are prompts whose pictures may stand in, the first that differs; the same in every process, so that the number of processes
    decides nothing. Call it in every process.
    """
    found = [(group, _other_picture(policy, group.prompt, others)) for group in groups if group.num_tokens]
    pairs = [(group, other) for group, other in found if other is not None]
    paths = [[max((torch.tensor(rollout.token_ids) for rollout in group.rollouts), key=len)] for group, _ in pairs]
    gain, num_tokens = 0.0, 0
    with whole(policy.model):  # each process asks as many questions as it has
        if pairs:
            forward = Forward(policy, score, room)
            own = forward.logprobs(([group.prompt for group, _ in pairs], paths), temperature)
            exchanged = forward.logprobs(([other for _, other in pairs], paths), temperature)
            gain, num_tokens = float((own - exchanged).double().sum()), len(own)
    gain, total = sum_over_processes([gain, num_tokens], accelerator)
    return {"image_gain": gain / total} if total else {}


def warn_if_blind(gain: dict[str, float], step: int, accelerator: Any) -> None:
    """One line when the gain is not above 0."""
    if gain and not gain["image_gain"] > MIN_GAIN and is_first(accelerator):
        logger.warning(
            "step %d: image_gain is %.2g nats a token, not above 0: another question's picture is as good to the policy as its own; "
            "if this stays so, it does not see its pictures",
            *(step, gain["image_gain"]),
        )


def exchange(prompt: Prompt, other: Prompt, merge_size: int) -> Prompt:
    """`prompt` with the pictures of `other`: every block of patches shows the block at the same place in the other picture."""
    pictures, first = [], 0
    sources = _pictures(other)
    for place, grid in enumerate(prompt.image_grid_thw.tolist()):
        pixels, theirs = sources[place % len(sources)]
        pictures.append(_fit(pixels, theirs, grid, merge_size))
        first += len(pictures[-1])
    assert first == len(prompt.pixel_values), "a fitted picture has as many patches as the one it stands in for"
    return replace(prompt, pixel_values=torch.cat(pictures))


def _other_picture(policy: Policy, prompt: Prompt, others: Sequence[Prompt]) -> Prompt | None:
    for candidate in others:
        changed = exchange(prompt, candidate, policy.image_processor.merge_size)
        if not torch.equal(changed.pixel_values, prompt.pixel_values):
            return changed
    return None


def _pictures(prompt: Prompt) -> list[tuple[Tensor, list[int]]]:
    grids = prompt.image_grid_thw.tolist()
    return list(zip(prompt.pixel_values.split([t * h * w for t, h, w in grids]), grids, strict=True))


def _fit(pixels: Tensor, source: Sequence[int], target: Sequence[int], merge_size: int) -> Tensor:
    # Patches stand in blocks of merge_size * merge_size, blocks in rows, rows in frames.
    frames, rows, columns = (
        torch.arange(wanted // by) * (there // by) // (wanted // by)
        for wanted, there, by in zip(target, source, (1, merge_size, merge_size), strict=True)
    )
    height, width = source[1] // merge_size, source[2] // merge_size
    blocks = (frames[:, None, None] * height + rows[:, None]) * width + columns
    return pixels.unflatten(0, (-1, merge_size**2))[blocks.flatten()].flatten(0, 1)
