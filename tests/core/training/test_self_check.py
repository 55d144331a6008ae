"""A model that breaks what shared prompts stand on is found out before the first step, and trains as if nothing had been shared."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from r1vl_core.policy.logprobs import score_dense, score_shared
from r1vl_core.policy.model import Policy
from r1vl_core.policy.room import make_room
from r1vl_core.training.self_check import Ways, checked_ways
from tests.core.tiny_policies import ARCHITECTURES, some_prompts, tiny_policy
from tests.core.training.tiny_runs import SETTINGS, ending_policy, run, untimed, weights


def ignoring_positions(policy: Policy) -> Policy:
    """Adds something of its own for the place a token has in its row, whatever its position is said to be."""
    language_model = policy.model.model.language_model
    by_place = torch.randn(4096, 32, generator=torch.Generator().manual_seed(0))

    def add(_: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        embedded = kwargs["inputs_embeds"]
        return args, {**kwargs, "inputs_embeds": embedded + by_place[: embedded.shape[1]]}

    language_model.register_forward_pre_hook(add, with_kwargs=True)
    return policy


def ignoring_masks(policy: Policy) -> Policy:
    """Its layers attend as their own configuration says, whatever the language model's says: plainly causal."""
    for layer in policy.model.model.language_model.layers:
        layer.self_attn.config = copy.deepcopy(layer.self_attn.config)
    return policy


BREAKS: dict[str, Callable[[Policy], Policy]] = {"positions": ignoring_positions, "masks": ignoring_masks}


def ways_of(policy: Policy, notes: dict[str, Any], score: Any = score_shared) -> Ways:
    (prompt,) = some_prompts(policy, 1)
    return checked_ways(notes, policy, lambda: prompt, score, make_room(2048, longest=""), SETTINGS, seed=0, accelerator=None)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_that_keeps_the_promise_shares_its_prompts(architecture: str, caplog: pytest.LogCaptureFixture) -> None:
    before = torch.get_rng_state()
    notes: dict[str, Any] = {}
    assert ways_of(tiny_policy(architecture), notes) == Ways(score_shared, shared_decode=True)
    assert notes == {"dense_forward": False, "growing_decode": False}
    assert not caplog.records
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_one_that_breaks_it_is_caught_and_named(architecture: str, broken: str, caplog: pytest.LogCaptureFixture) -> None:
    policy, notes = BREAKS[broken](tiny_policy(architecture)), dict[str, Any]()
    assert ways_of(policy, notes) == Ways(score_dense, shared_decode=False)
    forward, decode = (record.getMessage() for record in caplog.records)
    assert f"the shared-prefix forward of this {architecture} differs from the dense one by" in forward
    assert f"this {architecture} decodes with shared prompts" in decode
    caplog.clear()
    assert ways_of(policy, notes) == Ways(score_dense, shared_decode=False)
    assert not caplog.records, "said once"


def test_who_asks_for_the_dense_forward_is_told_of_decoding_alone(caplog: pytest.LogCaptureFixture) -> None:
    assert ways_of(ignoring_masks(tiny_policy()), {}, score_dense) == Ways(score_dense, shared_decode=False)
    assert len(caplog.records) == 1


def test_the_run_goes_on_densely_and_so_does_its_resume(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def make() -> Policy:
        return ignoring_masks(ending_policy())

    whole, reports = run(tmp_path / "whole", make=make, probe_every=0)
    assert len(caplog.records) == 2
    dense, expected = run(None, make=make, probe_every=0, forward="dense")
    assert weights(whole) == weights(dense)
    assert [untimed(report) for report in reports] == [untimed(report) for report in expected]
    assert reports[0].metrics["logprob_gap"] < 1e-5
    run(tmp_path / "cut", 3, make=make, probe_every=0)
    caplog.clear()
    # What resumes is a policy that would pass the check: what was decided is what counts.
    resumed, rest = run(tmp_path / "cut", make=make, probe_every=0)
    assert len(rest) == 2
    assert not caplog.records
    assert weights(resumed) == weights(whole)
