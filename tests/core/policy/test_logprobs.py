"""Scores of completions: the shared prompt equals the dense forward, in value and gradient, and nothing is scored blindly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from r1vl_core.policy.logprobs import TokenScores, score_dense, score_shared, score_tokens
from r1vl_core.policy.model import Policy, Prompt
from tests.core.tiny_policies import ARCHITECTURES, some_prompts, tiny_policy, with_images


def some_groups(num_questions: int, group_size: int) -> list[list[Tensor]]:
    """Completions of 1 to 9 tokens: one that is only an end token, and one that never ends, among them."""
    generator = torch.Generator().manual_seed(3)
    made = []
    for question in range(num_questions):
        lengths = [1 + (5 * question + 3 * path) % 9 for path in range(group_size)]
        made.append([torch.cat([torch.randint(10, 200, (length - 1,), generator=generator), torch.tensor([2])]) for length in lengths])
    made[-1][-1] = torch.randint(10, 200, (9,), generator=generator)
    return made


def gradients(policy: Policy, scores: TokenScores) -> Tensor:
    policy.model.zero_grad()
    (scores.logprobs * torch.linspace(-1, 1, len(scores.logprobs))).sum().backward()
    return torch.cat([parameter.grad.flatten() for parameter in policy.model.parameters() if parameter.grad is not None])


def assert_shared_equals_dense(policy: Policy, prompts: list[Prompt], groups: list[list[Tensor]]) -> None:
    dense = score_dense(policy, prompts, groups, 1.2)
    expected = gradients(policy, dense)
    shared = score_shared(policy, prompts, groups, 1.2)
    found = gradients(policy, shared)
    torch.testing.assert_close(shared.logprobs, dense.logprobs, atol=1e-5, rtol=0)
    torch.testing.assert_close(shared.entropies, dense.entropies, atol=1e-5, rtol=0)
    assert float((found - expected).norm() / expected.norm()) < 1e-5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("group_size", [1, 2, 8])
def test_shared_equals_dense(architecture: str, group_size: int) -> None:
    policy = tiny_policy(architecture)
    assert_shared_equals_dense(policy, some_prompts(policy, 3), some_groups(3, group_size))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shared_equals_dense_with_several_pictures(architecture: str) -> None:
    policy = tiny_policy(architecture)
    prompts = some_prompts(policy, 3)
    prompts[1] = with_images(policy, prompts[1], 3)
    assert_shared_equals_dense(policy, prompts, some_groups(3, 4))


def test_groups_of_end_tokens_alone_and_of_different_size() -> None:
    policy = tiny_policy()
    end = torch.tensor([2])
    assert_shared_equals_dense(policy, some_prompts(policy, 2), [[end, end], [end, end]])
    assert_shared_equals_dense(policy, some_prompts(policy, 2), [[end], some_groups(1, 3)[0]])


def test_the_picture_is_seen_once_a_question() -> None:
    policy = tiny_policy()
    prompts = some_prompts(policy, 3)
    patches = []
    policy.model.model.visual.register_forward_pre_hook(lambda _, args: patches.append(len(args[0])))
    score_shared(policy, prompts, some_groups(3, 4), 1.0)
    assert sum(patches) == sum(len(prompt.pixel_values) for prompt in prompts)


def test_shared_attention_leaves_the_model_as_it_was() -> None:
    policy = tiny_policy()
    score_shared(policy, some_prompts(policy, 1), some_groups(1, 2), 1.0)
    assert policy.model.model.language_model.config._attn_implementation == "sdpa"


def test_scores_depend_on_the_picture() -> None:
    policy = tiny_policy()
    (first,) = some_prompts(policy, 1)
    other = Prompt("x", first.input_ids, first.mm_token_type_ids, first.pixel_values.flip(0), first.image_grid_thw)
    groups = some_groups(1, 2)
    assert not torch.allclose(score_shared(policy, [first], groups, 1.0).logprobs, score_shared(policy, [other], groups, 1.0).logprobs)


def test_scores_equal_the_plain_softmax_of_the_whole_forward() -> None:
    policy = tiny_policy()
    (prompt,) = some_prompts(policy, 1)
    ((completion,),) = some_groups(1, 1)
    logits = policy.model(
        input_ids=torch.cat([prompt.input_ids, completion])[None],
        mm_token_type_ids=torch.cat([prompt.mm_token_type_ids, torch.zeros_like(completion)])[None],
        pixel_values=prompt.pixel_values,
        image_grid_thw=prompt.image_grid_thw,
    ).logits[0, len(prompt) - 1 : -1]
    logits[:, list(policy.forbidden_token_ids)] = -torch.inf
    expected = torch.log_softmax(logits.double() / 1.3, dim=-1)
    scores = score_shared(policy, [prompt], [[completion]], 1.3)
    torch.testing.assert_close(scores.logprobs.double(), expected.gather(-1, completion[:, None])[:, 0], atol=1e-5, rtol=0)
    entropies = -(expected.exp() * expected.nan_to_num(neginf=0.0)).sum(-1)
    torch.testing.assert_close(scores.entropies.double(), entropies, atol=1e-5, rtol=0)
    assert scores.is_top.tolist() == (expected.argmax(-1) == completion).tolist()


def test_tiles_change_nothing() -> None:
    policy = tiny_policy()
    hidden = torch.randn(10, 32, requires_grad=True)
    targets = torch.arange(20, 30)
    whole = score_tokens(policy, hidden, targets, 0.9)
    (expected,) = torch.autograd.grad(whole.logprobs.sum(), hidden)
    tiled = score_tokens(policy, hidden, targets, 0.9, tile_elements=3 * policy.model.lm_head.out_features)
    (found,) = torch.autograd.grad(tiled.logprobs.sum(), hidden)
    torch.testing.assert_close(tiled, whole)
    torch.testing.assert_close(found, expected)


def test_no_gradient_is_added_up_in_an_order_that_threads_decide() -> None:
    policy = tiny_policy()
    prompts, groups = some_prompts(policy, 2), some_groups(2, 3)
    for score in (score_shared, score_dense):
        for node in graph_of(score(policy, prompts, groups, 1.0).logprobs):
            if node.name() == "IndexBackward0":
                for places in node._saved_indices:
                    assert places is None or places.dtype == torch.bool or len(places.unique()) == places.numel()


def graph_of(tensor: Tensor) -> list[Any]:
    """Every node of the backward graph."""
    seen: dict[int, Any] = {}
    waiting = [tensor.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and id(node) not in seen:
            seen[id(node)] = node
            waiting += [before for before, _ in node.next_functions]
    return list(seen.values())
