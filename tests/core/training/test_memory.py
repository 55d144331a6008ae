"""The memory that is foretold is the memory that is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from r1vl_core.config import Lora, parse_preset
from r1vl_core.policy.batch import pad_rows, prompt_positions
from r1vl_core.policy.bundled import bundled_checkpoint
from r1vl_core.policy.logprobs import score_rows, score_shared
from r1vl_core.policy.model import Policy, Prompt, load_policy
from r1vl_core.policy.recompute import recompute_activations
from r1vl_core.training.adapters import add_adapters
from r1vl_core.training.backward import fill
from r1vl_core.training.memory import Batch, Machine, Trained, activation_parts, adapter_weights, estimate_stepgrpo, update_parts
from r1vl_core.training.optimizer import adamw, update
from r1vl_core.training.shapes import Shapes, folder_shapes, known_shapes
from tests.core.tiny_policies import picture

TOLERANCE = 0.15
"""Of the estimate of what a micro-batch adds to the weights, against torch's own count of allocated bytes."""

CPU = Machine("cpu", 2048)
TEXT = "What is the sum of the digits in row 1? " * 8


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy("r1vl-tiny", prompt="plain", max_pixels=200704)


def shapes() -> Shapes:
    return folder_shapes(Path(bundled_checkpoint("r1vl-tiny")))


def peak_bytes(work: Callable[[], object]) -> int:
    """Most bytes allocated at once beyond those at the start, as torch's allocator counts them."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    assert events
    return peak


def prompts_of(policy: Policy, count: int, side: int) -> list[Prompt]:
    return [policy.encode(f"q{index}", TEXT, picture(side, side, seed=index)) for index in range(count)]


TRAINED = {
    "whole": Trained(),
    "adapters": Trained(lora=Lora(rank=8)),
    "a few adapters": Trained(lora=Lora(rank=32, target_modules=("q_proj", "v_proj"))),
}


@pytest.mark.parametrize("trained", TRAINED.values(), ids=TRAINED)
@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize(("count", "side", "size", "length"), [(2, 224, 4, 60), (1, 56, 8, 150), (4, 336, 1, 20)])
def test_a_packed_micro_batch_takes_what_was_foretold(
    count: int, side: int, size: int, length: int, recompute: bool, trained: Trained
) -> None:
    policy = load_policy("r1vl-tiny", prompt="plain", max_pixels=200704)
    if trained.lora:
        add_adapters(policy, trained.lora, seed=0)
    if recompute:
        recompute_activations(policy)
    prompts = prompts_of(policy, count, side)
    paths = [[torch.arange(20, 20 + length)] * size] * count

    def work() -> None:
        (-score_shared(policy, prompts, paths, 1.0).logprobs.sum()).backward()

    policy.model.train()
    work()  # the gradients of the micro-batch before stand
    image = int(prompts[0].mm_token_type_ids.sum())
    batch = Batch(count, len(prompts[0]), image, count * size, length, shared=True)
    estimate = sum(activation_parts(shapes(), batch, trained, replace(CPU, recompute=recompute)).values())
    assert estimate == pytest.approx(peak_bytes(work), rel=TOLERANCE)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_padded_micro_batch_takes_what_was_foretold(frozen: bool) -> None:
    policy = load_policy("r1vl-tiny", prompt="plain", max_pixels=200704)
    policy.model.model.visual.requires_grad_(not frozen)
    prompts, length = prompts_of(policy, 6, 168), 100
    rows = pad_rows(policy, prompts, [prompt_positions(policy, prompt) for prompt in prompts], [torch.arange(20, 20 + length)] * 6)

    def work() -> None:
        (-score_rows(policy, rows).logprobs.sum()).backward()

    policy.model.train()
    image = int(prompts[0].mm_token_type_ids.sum())
    batch = Batch(6, len(prompts[0]), image, 6, length, shared=False)
    parts = update_parts(shapes(), batch, Trained(frozen_vision=frozen), CPU)
    estimate = sum(parts[name] for name in ("gradients", "activations", "logits"))
    assert estimate == pytest.approx(peak_bytes(work), rel=TOLERANCE)


def test_weights_gradients_and_optimiser_are_counted_to_the_byte(policy: Policy) -> None:
    model = policy.model.train()
    (prompt,) = prompts_of(policy, 1, 56)
    optimizer = adamw(model, 1e-5, 0.0)
    score_shared(policy, [prompt], [[torch.arange(20, 30)]], 1.0).logprobs.sum().backward()
    batch = Batch(1, len(prompt), 4, 1, 10, shared=True)
    parts = update_parts(shapes(), batch, Trained(reference=True), CPU)
    assert parts["weights"] == parts["reference"] == sum(4 * parameter.numel() for parameter in model.parameters())
    assert parts["gradients"] == sum(4 * parameter.grad.numel() for parameter in model.parameters() if parameter.grad is not None)
    update(model, optimizer, 1e-5, 1.0)
    states = [tensor for state in optimizer.state.values() for name, tensor in state.items() if name != "step"]
    assert parts["AdamW"] == sum(4 * tensor.numel() for tensor in states)


@pytest.mark.parametrize("lora", [Lora(), Lora(rank=3, target_modules=("down_proj", "k_proj"))])
def test_adapters_are_counted_to_the_weight(lora: Lora) -> None:
    policy = load_policy("r1vl-tiny", prompt="plain", max_pixels=200704)
    add_adapters(policy, lora, seed=0)
    trained = [parameter.numel() for parameter in policy.model.parameters() if parameter.requires_grad]
    assert adapter_weights(shapes(), lora) == sum(trained)


def test_shards_divide_what_stands_and_more_processes_what_a_step_samples() -> None:
    preset = parse_preset({"name": "p", "world": {}, "stepgrpo": {"group_size": 4, "questions_per_step": 8, "max_new_tokens": 64}}, "test")
    alone, sharded = (estimate_stepgrpo(shapes(), preset, replace(CPU, num_processes=count, sharded=True)) for count in (1, 4))
    for part in ("weights", "AdamW", "reference", "gradients"):
        assert alone.update[part] == 4 * sharded.update[part]
    assert alone.update["gathered from shards"] == sharded.update["gathered from shards"] < 8 * shapes().num_weights
    assert sharded.rollout["gathered from shards"] == alone.update["weights"]
    assert sharded.rollout["keys and values"] * 4 == alone.rollout["keys and values"]


@pytest.mark.parametrize("budget", [1000, 4000, 8192, 16384])
@pytest.mark.parametrize("size", [2, 4, 8])
def test_the_largest_micro_batch_is_the_one_that_training_would_cut(budget: int, size: int) -> None:
    table = {"name": "p", "world": {}, "stepgrpo": {"group_size": size, "questions_per_step": 5, "max_new_tokens": 500}}
    preset = parse_preset(table, "test")
    (first, *_) = fill([766] * 5, [[500] * size] * 5, budget, shared=True)
    batch = Batch(len(first), 766, 510, sum(map(len, first.values())), 500, shared=True)
    machine = Machine("cuda", budget)
    expected = update_parts(shapes(), batch, Trained(reference=True), machine)
    assert estimate_stepgrpo(shapes(), preset, machine).update == expected


def test_the_shapes_kept_here_are_those_of_the_published_checkpoints() -> None:
    """Sizes of the safetensors on the hub: 2,208,985,600 and 8,291,375,616 parameters."""
    counts = [known_shapes(f"Qwen/Qwen2-VL-{size}-Instruct").num_weights for size in ("2B", "7B")]
    assert counts == [2_208_985_600, 8_291_375_616]
    with pytest.raises(ValueError, match="its shapes are known for Qwen/Qwen2-VL-2B-Instruct"):
        known_shapes("Qwen/Qwen3-VL-8B-Instruct")
