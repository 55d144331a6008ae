"""Models of types that the shared forward does not know train on the dense path or are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import InternVLConfig, InternVLForConditionalGeneration

from r1vl_core.policy.batch import completion_positions, prompt_positions
from r1vl_core.policy.logprobs import score_dense
from r1vl_core.policy.model import Policy, load_policy
from r1vl_core.policy.rollout import generate
from r1vl_core.policy.room import make_room
from r1vl_core.training.self_check import checked_ways
from r1vl_core.training.warmup import Example, score_examples
from tests.core.tiny_policies import OTHERS, favour, some_prompts, tiny_policy
from tests.core.training.tiny_runs import SETTINGS, run, untimed, weights


def another(architecture: str) -> Policy:
    policy = tiny_policy(architecture)
    favour(policy, policy.end_token_ids[0], by=2.0)
    return policy


def alone(policy: Policy, prompt: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Log-probabilities (N,) of a path in a row of its own, without padding, from the logits that the model itself returns."""
    at = prompt_positions(policy, prompt)
    logits = policy.model(
        input_ids=torch.cat([prompt.input_ids, tokens])[None],
        position_ids=torch.cat([at, completion_positions(at, len(tokens))], dim=1)[:, None],
        mm_token_type_ids=torch.cat([prompt.mm_token_type_ids, torch.zeros_like(tokens)])[None],
        pixel_values=prompt.pixel_values,
        image_grid_thw=prompt.image_grid_thw,
        use_cache=False,
    ).logits[0, len(prompt) - 1 : -1]
    logits[:, list(policy.forbidden_token_ids)] = -torch.inf
    return logits.log_softmax(-1).gather(-1, tokens[:, None])[:, 0]


@pytest.mark.parametrize("architecture", OTHERS)
def test_what_is_drawn_with_and_what_is_trained_are_the_models_own_probabilities(architecture: str) -> None:
    policy = another(architecture)
    prompts = some_prompts(policy, 4)
    assert len(set(map(len, prompts))) > 1
    seeds = [(1, index) for index in range(4)]
    rollouts = generate(policy, prompts, max_new_tokens=40, num_samples=3, temperature=1.0, seeds=seeds)
    assert len({len(rollout.token_ids) for rollout in rollouts}) > 3, "rows should leave at different times"
    groups = [[torch.tensor(rollout.token_ids) for rollout in rollouts[3 * index : 3 * index + 3]] for index in range(4)]
    with torch.no_grad():
        trained = score_dense(policy, prompts, groups, 1.0).logprobs
        expected = [alone(policy, prompt, tokens) for prompt, group in zip(prompts, groups, strict=True) for tokens in group]
    torch.testing.assert_close(trained, torch.cat(expected), atol=2e-5, rtol=0)
    drawn = torch.tensor([value for rollout in rollouts for value in rollout.logprobs])
    torch.testing.assert_close(drawn, trained, atol=2e-5, rtol=0)


@pytest.mark.parametrize("architecture", OTHERS)
def test_warm_up_sees_each_path_as_if_it_were_alone(architecture: str) -> None:
    policy = tiny_policy(architecture)
    paths = [torch.arange(10, 10 + length) for length in (3, 17, 1)]
    examples = [Example(prompt, path) for prompt, path in zip(some_prompts(policy, 3), paths, strict=True)]
    with torch.no_grad():
        mine, apart = score_examples(policy, examples).logprobs, [score_examples(policy, [example]).logprobs for example in examples]
    torch.testing.assert_close(mine, torch.cat(apart), atol=2e-5, rtol=0)


@pytest.mark.parametrize("architecture", OTHERS)
def test_a_run_resumes_to_the_bit(architecture: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole, reports = run(tmp_path / "whole", make=lambda: another(architecture))
    assert f"does not know this {architecture}: going on with the dense one" in caplog.text
    assert all(report.metrics["logprob_gap"] < 2e-5 for report in reports)
    assert weights(whole) != weights(another(architecture))
    run(tmp_path / "cut", 3, make=lambda: another(architecture))
    resumed, rest = run(tmp_path / "cut", make=lambda: another(architecture))
    assert len(rest) == 2
    assert weights(resumed) == weights(whole)
    assert [untimed(report) for report in rest] == [untimed(report) for report in reports[-2:]]


def test_one_whose_decoding_is_not_its_forward_is_refused() -> None:
    policy = tiny_policy("qwen3_5")
    inner = policy.model.model.language_model
    # A cache that a model leaves aside once the prompt is read: each token is drawn as if the prompt's last were all there is.
    inner.register_forward_pre_hook(
        lambda _, args, kwargs: (args, {**kwargs, "past_key_values": None} if kwargs["inputs_embeds"].shape[1] == 1 else kwargs),
        with_kwargs=True,
    )
    (prompt,) = some_prompts(policy, 1)
    room = make_room(2048, longest="")
    with pytest.raises(ValueError, match=r"this qwen3_5 draws tokens with log-probabilities .* nats a token beside those of its forward"):
        checked_ways({}, policy, lambda: prompt, score_dense, room, SETTINGS, seed=0, accelerator=None)


def test_one_that_takes_pictures_in_another_way_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    vision = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": [56, 56]}
    text = {"model_type": "qwen2", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
    model = InternVLForConditionalGeneration(
        InternVLConfig(vision_config=vision, text_config={**text, "num_key_value_heads": 2, "vocab_size": 300}, image_token_id=5)
    )
    policy = tiny_policy()
    for part in (policy.image_processor, policy.tokenizer, model):
        part.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"a internvl takes its pictures in another way; use a Qwen2-VL, .* one$"):
        load_policy(tmp_path, prompt="plain", max_pixels=140 * 140)
