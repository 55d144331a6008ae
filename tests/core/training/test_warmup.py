"""Warm-up: the loss is the plain one, does not depend on how it is computed, and needs the picture."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from r1vl_core.config import Warmup
from r1vl_core.policy.model import Policy
from r1vl_core.policy.room import make_room
from r1vl_core.training.checkpoint import read_reports
from r1vl_core.training.warmup import Example, backward, train
from tests.core.tiny_policies import ARCHITECTURES, picture, some_prompts, tiny_policy

PATHS = ("### Image Description: a board", "7", "### Step 1: 3 + 4 = 7", "no", "### The final answer is: 12")
SETTINGS = Warmup(num_epochs=2, batch_size=2, learning_rate=1e-2, warmup_ratio=0.2, save_every=2)


def some_examples(policy: Policy) -> list[Example]:
    return [Example(prompt, policy.encode_path(path)) for prompt, path in zip(some_prompts(policy, 5), PATHS, strict=True)]


def gradient(policy: Policy) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in policy.model.parameters() if parameter.grad is not None])


def weights(policy: Policy) -> list[bytes]:
    return [parameter.detach().numpy().tobytes() for parameter in policy.model.parameters()]


def plain_loss(policy: Policy, examples: list[Example]) -> Tensor:
    """Mean over all path tokens, one example at a time, by the model's own labels."""
    total, num_tokens = torch.zeros(()), 0
    for example in examples:
        prompt, path = example.prompt, example.path
        loss = policy.model(
            input_ids=torch.cat([prompt.input_ids, path])[None],
            mm_token_type_ids=torch.cat([prompt.mm_token_type_ids, torch.zeros_like(path)])[None],
            pixel_values=prompt.pixel_values,
            image_grid_thw=prompt.image_grid_thw,
            labels=torch.cat([torch.full_like(prompt.input_ids, -100), path])[None],
        ).loss
        total, num_tokens = total + loss * len(path), num_tokens + len(path)
    return total / num_tokens


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_loss_and_gradient_equal_the_models_own_loss_example_by_example(architecture: str) -> None:
    policy = tiny_policy(architecture)
    examples = some_examples(policy)
    expected = plain_loss(policy, examples)
    expected.backward()
    expected_gradient = gradient(policy)
    policy.model.zero_grad()
    measured = backward(policy, examples, make_room(200, longest="").tokens)
    assert measured["loss"] == pytest.approx(float(expected.detach()), rel=1e-5)
    assert float((gradient(policy) - expected_gradient).norm() / expected_gradient.norm()) < 1e-5


def test_micro_batches_change_nothing() -> None:
    policy = tiny_policy()
    examples = some_examples(policy)
    whole = backward(policy, examples, make_room(10_000, longest="").tokens)
    expected = gradient(policy)
    for examples_in_order, budget in ((examples, 1), (examples[::-1], 150)):
        policy.model.zero_grad()
        found = backward(policy, examples_in_order, make_room(budget, longest="").tokens)
        assert found == pytest.approx(whole, rel=1e-5)
        assert float((gradient(policy) - expected).norm() / expected.norm()) < 1e-5


def test_training_learns() -> None:
    policy = tiny_policy()
    examples = some_examples(policy)
    settings = SETTINGS.model_copy(update={"num_epochs": 8})
    reports = list(train(policy, examples.__getitem__, num_examples=5, settings=settings, seed=0))
    assert [report.step for report in reports] == list(range(1, 21))
    assert reports[-1].metrics["loss"] < 0.5 * reports[0].metrics["loss"]


def test_training_sees_the_picture() -> None:
    policy = tiny_policy()
    # The same question about four pictures: only they can tell which path is asked for.
    prompts = [policy.encode(f"q{i}", "Which?", picture(56, 56, seed=i)) for i in range(4)]
    examples = [Example(prompt, policy.encode_path(path)) for prompt, path in zip(prompts, ("red", "7 + 5", "-", "No!"), strict=True)]
    settings = SETTINGS.model_copy(update={"num_epochs": 40, "batch_size": 4})
    reports = list(train(policy, examples.__getitem__, num_examples=4, settings=settings, seed=0))
    shuffled = [dataclasses.replace(example, prompt=prompts[i - 1]) for i, example in enumerate(examples)]
    with torch.no_grad():
        assert plain_loss(policy, shuffled) > 2 * plain_loss(policy, examples)
    assert reports[-1].metrics["token_accuracy"] > 0.9


def test_every_question_is_seen_once_an_epoch() -> None:
    policy = tiny_policy()
    examples, seen = some_examples(policy), []

    def get_example(index: int) -> Example:
        seen.append(index)
        return examples[index]

    list(train(policy, get_example, num_examples=5, settings=SETTINGS, seed=3))
    assert sorted(seen[:5]) == sorted(seen[5:]) == [0, 1, 2, 3, 4]
    assert seen[:5] != seen[5:]


def test_a_subset_is_drawn_by_the_seed() -> None:
    policy = tiny_policy()
    examples, seen = some_examples(policy), []
    settings = SETTINGS.model_copy(update={"max_questions": 2})
    list(train(policy, lambda index: (seen.append(index), examples[index])[1], num_examples=5, settings=settings, seed=3))  # type: ignore[func-returns-value]
    assert len(seen) == 4
    assert len(set(seen)) == 2


def test_frozen_vision_stays_as_it_was() -> None:
    policy = tiny_policy()
    vision = [parameter.clone() for parameter in policy.model.model.visual.parameters()]
    language = policy.model.model.language_model.layers[0].mlp.up_proj.weight.clone()
    examples = some_examples(policy)
    list(train(policy, examples.__getitem__, num_examples=5, settings=SETTINGS.model_copy(update={"freeze_vision": True}), seed=0))
    assert all(torch.equal(a, b) for a, b in zip(vision, policy.model.model.visual.parameters(), strict=True))
    assert not torch.equal(language, policy.model.model.language_model.layers[0].mlp.up_proj.weight)


@pytest.mark.parametrize("stop_after", [1, 2, 3, 5])
def test_a_run_cut_off_and_resumed_equals_one_that_was_not(tmp_path: Path, stop_after: int) -> None:
    def run(folder: Path, num_reports: int) -> Policy:
        policy = tiny_policy()
        examples = some_examples(policy)
        reports = train(policy, examples.__getitem__, num_examples=5, settings=SETTINGS, seed=1, work_dir=folder)
        for _, _report in zip(range(num_reports), reports, strict=False):
            pass
        reports.close()
        return policy

    whole = run(tmp_path / "whole", 99)
    run(tmp_path / "cut", stop_after)
    resumed = run(tmp_path / "cut", 99)
    assert weights(resumed) == weights(whole)
    curves = [[report.metrics["loss"] for report in read_reports(tmp_path / name)] for name in ("whole", "cut")]
    assert curves[0] == curves[1]
    assert len(curves[0]) == 5


def test_asked_to_stop_it_saves_where_it_is(tmp_path: Path) -> None:
    policy = tiny_policy()
    examples = some_examples(policy)
    options = {"num_examples": 5, "settings": SETTINGS, "seed": 1, "work_dir": tmp_path}
    assert [r.step for r in train(policy, examples.__getitem__, should_stop=lambda: True, **options)] == [1]
    assert [r.step for r in train(tiny_policy(), examples.__getitem__, **options)] == [2, 3, 4, 5]
    assert list(train(tiny_policy(), examples.__getitem__, **options)) == []


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    examples = some_examples(tiny_policy())
    list(train(tiny_policy(), examples.__getitem__, num_examples=5, settings=SETTINGS, seed=1, work_dir=tmp_path))
    other = train(tiny_policy(), examples.__getitem__, num_examples=5, settings=SETTINGS, seed=2, work_dir=tmp_path)
    with pytest.raises(ValueError, match=r"another run \(seed differ\)"):
        next(other)


def test_nothing_to_learn_from_is_said() -> None:
    policy = tiny_policy()
    with pytest.raises(ValueError, match="no examples"):
        next(train(policy, [].__getitem__, num_examples=0, settings=SETTINGS, seed=0))
