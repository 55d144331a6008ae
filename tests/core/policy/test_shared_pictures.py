"""Questions about the same pictures: the vision tower sees each once, and no response is another for it."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
import torch

from r1vl_core.policy.model import Policy, Prompt
from r1vl_core.policy.rollout import Rollout, generate
from r1vl_core.policy.shared_pictures import distinct_pictures
from tests.core.tiny_policies import ARCHITECTURES, picture, tiny_policy

TEXTS = ("How many?", "What is the sum of all digits?", "Red or blue?", "7+5?")


def prompts_about(policy: Policy) -> list[Prompt]:
    """Two questions on one picture, two on a list of two, one of each alone, not side by side."""
    one, two = policy.look([picture(56, 84, seed=1)]), policy.look([picture(28, 56, seed=2), picture(84, 56, seed=3)])
    return [policy.encode_about(f"q{i}", TEXTS[i], (one, two)[i % 2]) for i in range(4)]


def apart(prompt: Prompt) -> Prompt:
    return dataclasses.replace(prompt, pixel_values=prompt.pixel_values.clone())


def answered(policy: Policy, prompts: list[Prompt]) -> list[Rollout]:
    return generate(policy, prompts, max_new_tokens=24)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_each_picture_is_one_where_models_take_encoded_ones(architecture: str) -> None:
    policy = tiny_policy(architecture)
    prompts = prompts_about(policy)
    takes = "mm_encoder_outputs" in inspect.signature(policy.model.model.forward).parameters
    assert distinct_pictures(policy, prompts) == (prompts[:2] if takes else prompts)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_sharing_pictures_changes_no_response_and_encodes_each_once(architecture: str) -> None:
    policy = tiny_policy(architecture)
    prompts = prompts_about(policy)
    num_patches: list[int] = []

    def count(_module: Any, given: tuple[torch.Tensor, ...], named: dict[str, Any]) -> None:
        num_patches.append(len(given[0] if given else named["hidden_states"]))

    handle = policy.model.model.visual.register_forward_pre_hook(count, with_kwargs=True)
    together = answered(policy, prompts)
    handle.remove()
    assert num_patches == [sum(len(prompt.pixel_values) for prompt in distinct_pictures(policy, prompts))]
    separate = answered(policy, [apart(prompt) for prompt in prompts])
    alone = [rollout for prompt in prompts for rollout in answered(policy, [prompt])]
    assert [rollout.token_ids for rollout in together] == [rollout.token_ids for rollout in separate]
    assert [rollout.token_ids for rollout in together] == [rollout.token_ids for rollout in alone]
    assert len({rollout.token_ids for rollout in together}) == 4


def test_several_pictures_stand_before_the_text() -> None:
    policy = tiny_policy()
    prompt = prompts_about(policy)[1]
    assert len(prompt.image_grid_thw) == 2
    assert int(prompt.mm_token_type_ids.sum()) == int(prompt.image_grid_thw.prod(-1).sum()) // 4
    kinds = prompt.mm_token_type_ids.tolist()
    assert "".join(map(str, kinds)).strip("0").count("01") == 1, "two runs of image tokens"
