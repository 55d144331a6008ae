"""Sampling: equal to plain generation, kept to its rules, and the same whatever company a row is in."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from r1vl_core.policy.batch import pad_rows, prompt_positions
from r1vl_core.policy.drawing import draw
from r1vl_core.policy.logprobs import score_rows
from r1vl_core.policy.model import Policy, Prompt, load_policy
from r1vl_core.policy.rollout import generate
from tests.core.tiny_policies import ARCHITECTURES, OTHERS, favour, some_prompts, tiny_policy


def plain_generate(policy: Policy, prompt: Prompt, max_new_tokens: int) -> list[int]:
    made = policy.model.generate(
        input_ids=prompt.input_ids[None],
        attention_mask=torch.ones_like(prompt.input_ids)[None],
        mm_token_type_ids=prompt.mm_token_type_ids[None],
        pixel_values=prompt.pixel_values,
        image_grid_thw=prompt.image_grid_thw,
        max_new_tokens=max_new_tokens,
        do_sample=False,
        pad_token_id=policy.pad_token_id,
        eos_token_id=list(policy.end_token_ids),
        suppress_tokens=list(policy.forbidden_token_ids),
    )
    return made[0, len(prompt) :].tolist()


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *OTHERS])
def test_greedy_equals_plain_generate_for_prompts_of_different_length(architecture: str, shared: bool) -> None:
    policy = tiny_policy(architecture)
    prompts = some_prompts(policy, 5)
    # Two tokens that come up early in two of the responses are made end tokens, so that rows leave at different times.
    first, second = (plain_generate(policy, prompt, 20) for prompt in prompts[:2])
    policy = dataclasses.replace(policy, end_token_ids=(first[4], second[11]))
    rollouts = generate(policy, prompts, max_new_tokens=90, num_samples=2, shared=shared)
    lengths = set()
    for index, prompt in enumerate(prompts):
        expected = plain_generate(policy, prompt, 90)
        for rollout in rollouts[2 * index : 2 * index + 2]:
            assert rollout.question_id == prompt.question_id
            assert list(rollout.token_ids) == expected
            assert rollout.truncated == (expected[-1] not in policy.end_token_ids)
            lengths.add(len(expected))
    assert len(lengths) > 1, "rows should leave at different times"


def test_a_row_draws_the_same_tokens_in_any_company() -> None:
    policy = tiny_policy()
    favour(policy, policy.end_token_ids[0], by=2.0)
    prompts = some_prompts(policy, 4)
    seeds = [(7, index) for index in range(4)]
    together = generate(policy, prompts, max_new_tokens=30, num_samples=3, temperature=1.2, seeds=seeds)
    backwards = generate(policy, prompts[::-1], max_new_tokens=30, num_samples=3, temperature=1.2, seeds=seeds[::-1], token_budget=200)
    assert len({rollout.token_ids for rollout in together}) == 12
    for index in range(4):
        ours = [rollout.token_ids for rollout in together[3 * index : 3 * index + 3]]
        theirs = [rollout.token_ids for rollout in backwards[3 * (3 - index) : 3 * (3 - index) + 3]]
        assert ours == theirs


def test_holding_a_prompt_once_draws_the_same_tokens_as_holding_it_in_every_row() -> None:
    policy = tiny_policy("qwen2_5_vl")
    favour(policy, policy.end_token_ids[0], by=2.0)
    prompts, seeds = some_prompts(policy, 4), [(3, index) for index in range(4)]
    options = {"max_new_tokens": 70, "num_samples": 5, "temperature": 1.1, "seeds": seeds}
    once, everywhere = (generate(policy, prompts, shared=shared, **options) for shared in (True, False))  # type: ignore[arg-type]
    assert len({len(rollout.token_ids) for rollout in once}) > 5, "groups should shrink unevenly, and some should be gone early"
    assert [rollout.token_ids for rollout in once] == [rollout.token_ids for rollout in everywhere]
    for mine, theirs in zip(once, everywhere, strict=True):
        torch.testing.assert_close(torch.tensor(mine.logprobs), torch.tensor(theirs.logprobs), atol=1e-5, rtol=0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("temperature", [None, 1.1])
def test_steps_of_fixed_shape_draw_the_same_tokens(architecture: str, temperature: float | None) -> None:
    policy = tiny_policy(architecture)
    if temperature is None:
        first = plain_generate(policy, some_prompts(policy, 1)[0], 20)
        policy = dataclasses.replace(policy, end_token_ids=(first[4],))
    else:
        favour(policy, policy.end_token_ids[0], by=2.0)
    prompts, seeds = some_prompts(policy, 5), [(3, index) for index in range(5)]
    sizes: list[int] = []
    policy.model.lm_head.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    eager, fixed = (
        generate(way, prompts, max_new_tokens=150, num_samples=4, temperature=temperature, seeds=seeds)
        for way in (policy, dataclasses.replace(policy, decoding="graphs"))
    )
    assert sizes[-1] < 20, "rows should leave"
    lengths = {len(rollout.token_ids) for rollout in eager}
    assert len(lengths) > 1, "rows should leave at different times"
    assert max(lengths) > 70, "columns should be added"
    assert [rollout.token_ids for rollout in fixed] == [rollout.token_ids for rollout in eager]
    assert [rollout.truncated for rollout in fixed] == [rollout.truncated for rollout in eager]
    for mine, theirs in zip(fixed, eager, strict=True):
        torch.testing.assert_close(torch.tensor(mine.logprobs), torch.tensor(theirs.logprobs), atol=1e-5, rtol=0)


def test_steps_of_fixed_shape_are_watched_now_and_then_and_counted_all() -> None:
    policy = dataclasses.replace(tiny_policy(), decoding="graphs")
    favour(policy, 50, by=1e4)
    for max_new_tokens in (1, 5, 64, 70):
        told: list[int] = []
        (rollout,) = generate(policy, some_prompts(policy, 1), max_new_tokens=max_new_tokens, progress=told.append)
        assert rollout.token_ids == (50,) * max_new_tokens
        assert told == [*range(1, max_new_tokens + 1)]


def test_graphs_are_refused_where_a_prompt_cannot_be_shared_and_where_there_is_no_gpu() -> None:
    policy = dataclasses.replace(tiny_policy(), decoding="graphs")
    with pytest.raises(ValueError, match=r'decode "graphs" needs prompts that are held once for their rows, .* use "eager"'):
        generate(policy, some_prompts(policy, 1), max_new_tokens=2, shared=False)
    with pytest.raises(ValueError, match='decode "graphs" records CUDA graphs, and the device is cpu; use decode "eager"'):
        load_policy("r1vl-tiny", prompt="plain", max_pixels=200704, decoding="graphs")


def test_sampled_tokens_carry_the_log_probability_they_are_scored_with() -> None:
    policy = tiny_policy()
    prompts = some_prompts(policy, 2)
    rollouts = generate(policy, prompts, max_new_tokens=12, temperature=0.7, seeds=[(1,), (2,)])
    completions = [torch.tensor(rollout.token_ids) for rollout in rollouts]
    rows = pad_rows(policy, prompts, [prompt_positions(policy, prompt) for prompt in prompts], completions)
    scored = score_rows(policy, rows, temperature=0.7).logprobs
    sampled = torch.tensor([value for rollout in rollouts for value in rollout.logprobs])
    torch.testing.assert_close(scored, sampled, atol=1e-5, rtol=0)


def test_placeholders_are_never_sampled() -> None:
    policy = tiny_policy()
    favour(policy, policy.forbidden_token_ids[0], by=1e4)
    for temperature, seeds in ((None, ()), (1.5, [(0,), (1,)])):
        rollouts = generate(policy, some_prompts(policy, 2), max_new_tokens=8, num_samples=4, temperature=temperature, seeds=seeds)
        assert not {token for rollout in rollouts for token in rollout.token_ids} & set(policy.forbidden_token_ids)


@pytest.mark.parametrize("which", [0, 1])
def test_any_end_token_ends_a_response_at_once(which: int) -> None:
    policy = tiny_policy()
    favour(policy, policy.end_token_ids[which], by=1e4)
    for rollout in generate(policy, some_prompts(policy, 2), max_new_tokens=8, num_samples=2):
        assert rollout.token_ids == (policy.end_token_ids[which],)
        assert not rollout.truncated
        assert policy.decode(rollout.token_ids) == ""


def test_a_response_that_never_ends_is_truncated() -> None:
    policy = tiny_policy()
    favour(policy, 50, by=1e4)
    (rollout,) = generate(policy, some_prompts(policy, 1), max_new_tokens=70)
    assert rollout.token_ids == (50,) * 70
    assert rollout.truncated


def test_the_picture_is_seen_once_a_question() -> None:
    policy = tiny_policy()
    prompts = some_prompts(policy, 3)
    patches = []
    policy.model.model.visual.register_forward_pre_hook(lambda _, args: patches.append(len(args[0])))
    generate(policy, prompts, max_new_tokens=5, num_samples=4, temperature=1.0, seeds=[(0,), (1,), (2,)])
    assert sum(patches) == sum(len(prompt.pixel_values) for prompt in prompts)


@pytest.mark.parametrize(("decoding", "shared"), [("eager", True), ("eager", False), ("graphs", True)])
@pytest.mark.parametrize("frozen", [True, False])
def test_in_bf16_weights_are_rounded_once_and_keys_when_they_are_stored(frozen: bool, decoding: Any, shared: bool) -> None:
    policy = dataclasses.replace(tiny_policy(), precision="bf16", decoding=decoding)
    favour(policy, 50, by=1e4)
    policy.model.requires_grad_(not frozen)
    made = []
    for num_tokens in (10, 30):
        with Roundings() as seen:
            generate(policy, some_prompts(policy, 2), max_new_tokens=num_tokens, shared=shared)
        made.append(seen)
    assert made[0].of_weights == made[1].of_weights
    assert made[0].of_columns == made[1].of_columns
    assert {parameter.requires_grad for parameter in policy.model.parameters()} == {not frozen}


class Roundings(TorchDispatchMode):
    """Counts what is rounded to bf16: weights, and queries, keys and values of more than one token a row."""

    def __init__(self) -> None:
        super().__init__()
        self.of_weights = 0
        self.of_columns = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.to.dtype and args[1] is torch.bfloat16 and args[0].dtype is torch.float32:
            if isinstance(args[0], torch.nn.Parameter):
                self.of_weights += 1
            elif args[0].ndim == 4:
                self.of_columns += args[0].shape[-2] > 1
        return func(*args, **(kwargs or {}))


def test_draws_follow_the_distribution_and_its_edges() -> None:
    logits = torch.log(torch.tensor([0.5, 0.25, 0.0, 0.25])).repeat(4, 1)
    uniforms = torch.tensor([0.0, 0.5, 0.75, 1 - 2**-23])
    assert draw(logits, uniforms).tolist() == [0, 1, 3, 3]
    nothing_last = torch.log(torch.tensor([[0.3, 0.7, 0.0]]))
    assert draw(nothing_last, torch.tensor([1 - 2**-23])).tolist() == [1]


def test_sampling_without_a_seed_for_each_prompt_is_refused() -> None:
    policy = tiny_policy()
    with pytest.raises(ValueError, match="a seed for each of 2 prompts, given 1"):
        generate(policy, some_prompts(policy, 2), max_new_tokens=4, temperature=1.0, seeds=[(0,)])
