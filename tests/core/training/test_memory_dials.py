"""Precision and gradient checkpointing: what may change by rounding, and what may not change at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from r1vl_core.policy.logprobs import score_dense, score_shared
from r1vl_core.policy.model import Policy
from r1vl_core.policy.precision import is_bf16
from r1vl_core.policy.recompute import recompute_activations
from r1vl_core.policy.room import make_room
from r1vl_core.training.backward import Score
from r1vl_core.training.warmup import backward
from tests.core.tiny_policies import ARCHITECTURES, tiny_policy
from tests.core.training.test_warmup import gradient, some_examples
from tests.core.training.tiny_runs import ending_policy, run, some_groups, update_of


def warmed(policy: Policy) -> tuple[float, Tensor]:
    policy.model.train()
    return backward(policy, some_examples(policy), make_room(300, longest="").tokens)["loss"], gradient(policy)


def reinforced(score: Score) -> Callable[[Policy], tuple[float, Tensor]]:
    def update(policy: Policy) -> tuple[float, Tensor]:
        policy.model.eval()
        groups = some_groups(policy, num_questions=2)
        policy.model.train()
        sums, found = update_of(policy, groups, score=score)
        return sums.loss, found

    return update


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("train", [warmed, reinforced(score_shared), reinforced(score_dense)], ids=["warm-up", "shared", "dense"])
def test_recomputing_changes_no_bit_and_is_really_done(architecture: str, train: Callable[[Policy], tuple[float, Tensor]]) -> None:
    plain, frugal = tiny_policy(architecture), tiny_policy(architecture)
    recompute_activations(frugal)
    calls: dict[str, int] = {}
    for name, policy in (("plain", plain), ("frugal", frugal)):
        layers = (policy.model.model.language_model.layers[1].mlp, policy.model.model.visual.blocks[0].mlp)
        for part, layer in zip(("text", "vision"), layers, strict=True):
            key = f"{name} {part}"
            layer.register_forward_pre_hook(lambda *_, key=key: calls.__setitem__(key, calls.get(key, 0) + torch.is_grad_enabled()))
    loss, expected = train(plain)
    again, found = train(frugal)
    assert loss == again
    assert torch.equal(expected, found)
    assert float(found.norm()) > 0
    assert calls["frugal text"] == 2 * calls["plain text"] > 0
    assert calls["frugal vision"] == 2 * calls["plain vision"] > 0


def test_recomputing_changes_no_bit_of_a_whole_run() -> None:
    def frugal() -> Policy:
        policy = ending_policy()
        recompute_activations(policy)
        return policy

    for plain, sparing in zip(run(None)[0].model.parameters(), run(None, make=frugal)[0].model.parameters(), strict=True):
        assert torch.equal(plain, sparing)


def test_a_model_without_layers_that_allow_it_is_refused() -> None:
    policy = tiny_policy()
    policy.model.model.language_model.layers = torch.nn.ModuleList()
    policy.model.model.visual.blocks = torch.nn.ModuleList()
    with pytest.raises(ValueError, match="no layers that allow it"):
        recompute_activations(policy)


def in_bf16(seed: int = 0) -> Policy:
    return dataclasses.replace(ending_policy(seed), precision="bf16")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bf16_warm_up_is_close_to_fp32_and_its_weights_stay_fp32(architecture: str) -> None:
    exact, rounded = tiny_policy(architecture), dataclasses.replace(tiny_policy(architecture), precision="bf16")
    loss, expected = warmed(exact)
    near, found = warmed(rounded)
    assert near != loss, "nothing was rounded"
    assert near == pytest.approx(loss, rel=2e-2)
    assert float(torch.nn.functional.cosine_similarity(expected, found, dim=0)) > 0.98
    for parameter in rounded.model.parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is None or parameter.grad.dtype == torch.float32


def test_bf16_samples_and_trains_in_the_same_precision() -> None:
    """The gap between a token's log-probability when drawn and when trained is bf16's rounding, less than that from bf16 to fp32 sums to;
    trained in fp32 after sampling in bf16 the same paths would be further off."""
    policy, (first, *_) = run(None, make=in_bf16)
    exact = run(None)[1][0]
    assert all(parameter.dtype == torch.float32 for parameter in policy.model.parameters())
    assert exact.metrics["logprob_gap"] < 1e-5
    assert 1e-5 < first.metrics["logprob_gap"] < 0.05


def test_what_auto_means() -> None:
    assert not is_bf16("auto", "cpu")
    assert is_bf16("bf16", "cpu")
    assert not is_bf16("fp32", "cuda")
