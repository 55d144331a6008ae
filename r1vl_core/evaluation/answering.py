"""Questions about pictures, answered by a policy: a window at a time, in batches of like length, each picture looked at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from r1vl_core.evaluation.decoding import Decoding
from r1vl_core.policy.model import Pictures, Policy, Prompt
from r1vl_core.policy.rollout import Rollout
from r1vl_core.policy.room import generate_in_room, make_room

WINDOW = 512
"""Questions encoded and sorted by length at a time, at most."""

WINDOW_BYTES = 2**28
"""Bytes of pictures, as the model takes them, held at a time: a window ends with the picture that passes them. Both bounds are fixed before
the first question, so that the order of the responses is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it goes to the policy's template, and the encoded pictures shown before it. `key` is unlike every other's.

    >>> Asked("mme/0", "Is it so?", (b"...",)).key
    'mme/0'
    """

    key: str
    text: str
    pictures: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """The responses to a question, sample after sample.

    >>> Answered("mme/0", ("Yes",), (2,), (False,)).responses
    ('Yes',)
    """

    key: str
    responses: tuple[str, ...]
    nums_tokens: tuple[int, ...]
    truncated: tuple[bool, ...]


def answer(
    policy: Policy,
    questions: Iterable[Asked],
    decoding: Decoding,
    *,
    decode: Callable[[Asked], Sequence[Image.Image]],
    token_budget: int = 16_384,
    window_bytes: int = WINDOW_BYTES,
    longest: str = "--max-new-tokens",
) -> Iterator[list[Answered]]:
    """Answer every question and yield the answers a batch at a time, the shortest prompts of a window first.

    A batch holds as many questions as fit `token_budget` with their prompts and every response's `max_new_tokens` (one at least); those
    that share their pictures stand side by side. A question's responses depend on no other question; neither does their order
    depend on the budget. When memory runs out fewer are answered at once; `longest` names the setting to lower when that
    does not help. `decode` opens a question's pictures, and raises ValueError for one that is none.
    """
    room = make_room(token_budget, longest=longest)
    for window in _windows(policy, questions, decode, window_bytes):
        for batch in _within_budget(_by_length(window), decoding, token_budget):
            rollouts = generate_in_room(
                room,
                policy,
                batch,
                max_new_tokens=decoding.max_new_tokens,
                num_samples=decoding.num_samples,
                temperature=decoding.temperature,
                seeds=[] if decoding.temperature is None else [_seed(decoding.seed, prompt.question_id) for prompt in batch],
            )
            size = decoding.num_samples
            yield [_answered(policy, rollouts[at : at + size]) for at in range(0, len(rollouts), size)]


def _windows(
    policy: Policy, questions: Iterable[Asked], decode: Callable[[Asked], Sequence[Image.Image]], window_bytes: int
) -> Iterator[list[Prompt]]:
    window: list[Prompt] = []
    seen: dict[bytes, Pictures] = {}  # by digest: files of large pictures would fill the memory with what is only compared
    num_bytes = 0
    for question in questions:
        digest = b"".join(hashlib.sha256(picture).digest() for picture in question.pictures)
        if digest not in seen:
            pictures = seen[digest] = policy.look(decode(question))
            num_bytes += pictures.pixel_values.nbytes
        window.append(policy.encode_about(question.key, question.text, seen[digest]))
        if len(window) == WINDOW or num_bytes > window_bytes:
            yield window
            window, seen, num_bytes = [], {}, 0
    if window:
        yield window


def _by_length(window: Sequence[Prompt]) -> list[Prompt]:
    """Shortest first, prompts about the same pictures together: such a group is as long as its longest, and ties keep their order."""
    groups: dict[int, list[Prompt]] = {}
    for prompt in window:
        groups.setdefault(id(prompt.pixel_values), []).append(prompt)
    ordered = sorted(groups.values(), key=lambda group: max(map(len, group)))
    return [prompt for group in ordered for prompt in group]


def _within_budget(prompts: Sequence[Prompt], decoding: Decoding, token_budget: int) -> Iterator[list[Prompt]]:
    batch: list[Prompt] = []
    longest = 0
    for prompt in prompts:
        widest = max(longest, len(prompt))  # every prompt of the batch is padded to the longest
        if batch and (len(batch) + 1) * (widest + decoding.num_samples * decoding.max_new_tokens) > token_budget:
            yield batch
            batch, widest = [], len(prompt)
        batch.append(prompt)
        longest = widest
    if batch:
        yield batch


def _seed(seed: int, key: str) -> tuple[int, ...]:
    return seed, int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:8])


def _answered(policy: Policy, rollouts: Sequence[Rollout]) -> Answered:
    return Answered(
        rollouts[0].question_id,
        tuple(policy.decode(rollout.token_ids) for rollout in rollouts),
        tuple(len(rollout.token_ids) for rollout in rollouts),
        tuple(rollout.truncated for rollout in rollouts),
    )
