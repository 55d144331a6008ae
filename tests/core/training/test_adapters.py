"""LoRA: what is trained, what the reference is, what is kept in a checkpoint, and what is written at the end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from r1vl_core.config import Lora, StepGRPO
from r1vl_core.policy.logprobs import score_dense, score_shared
from r1vl_core.policy.model import Policy, load_policy
from r1vl_core.training import warmup
from r1vl_core.training.adapters import add_adapters, without_adapters
from r1vl_core.training.backward import Score
from r1vl_core.training.checkpoint import read_reports
from r1vl_core.training.export import export
from r1vl_core.training.stepgrpo import train
from tests.core.tiny_policies import ARCHITECTURES, some_prompts, tiny_policy
from tests.core.training.test_warmup import SETTINGS, some_examples
from tests.core.training.tiny_runs import SETTINGS as SMALL_STEPS
from tests.core.training.tiny_runs import a_reward, run, untimed, weights

LORA = {"rank": 4, "alpha": 8.0}
TOKENS = [[torch.tensor([20, 30, 40, 2]), torch.tensor([50, 2])]] * 2


def logprobs(policy: Policy, score: Score = score_shared) -> Tensor:
    with torch.no_grad():
        return score(policy, some_prompts(policy, 2), TOKENS, 1.0).logprobs


def trained(architecture: str = "qwen2_vl", **changes: Any) -> Policy:
    """A policy whose adapters a short warm-up has moved away from 0."""
    policy = tiny_policy(architecture)
    examples = some_examples(policy)
    settings = SETTINGS.model_copy(update={"lora": Lora(**LORA | changes)})
    list(warmup.train(policy, examples.__getitem__, num_examples=5, settings=settings, seed=0))
    return policy


def base_weights(policy: Policy) -> dict[str, Tensor]:
    return {name.replace(".base_layer.", "."): weight for name, weight in policy.model.state_dict().items() if ".lora_" not in name}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_without_adapters_it_is_the_policy_it_was_to_the_bit(architecture: str) -> None:
    policy, before = trained(architecture), tiny_policy(architecture)
    for score in (score_shared, score_dense):
        assert not torch.equal(logprobs(policy, score), logprobs(before, score)), "training changed nothing"
        with without_adapters(policy.model):
            assert torch.equal(logprobs(policy, score), logprobs(before, score))
        assert not torch.equal(logprobs(policy, score), logprobs(before, score)), "the adapters stayed off"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_written_loads_like_any_and_scores_what_the_adapted_policy_scores(architecture: str, tmp_path: Path) -> None:
    policy = trained(architecture)
    expected = logprobs(policy)
    export(policy, tmp_path)
    loaded = load_policy(tmp_path, prompt="plain", max_pixels=140 * 140)
    assert not any("lora" in name or "base_layer" in name for name in loaded.model.state_dict())
    torch.testing.assert_close(logprobs(loaded), expected, atol=1e-5, rtol=0)
    assert float((logprobs(tiny_policy(architecture)) - expected).abs().max()) > 1e-2
    assert torch.equal(logprobs(policy), expected), "writing must not change the policy"


def test_only_adapters_change_and_only_in_the_layers_named() -> None:
    for policy in (trained(target_modules=("q_proj", "down_proj")), run(None, make=tiny_policy, lora=LORA)[0]):
        before = base_weights(tiny_policy())
        after = base_weights(policy)
        assert after.keys() == before.keys()
        assert all(torch.equal(weight, before[name]) for name, weight in after.items())
        ups = [weight for name, weight in policy.model.named_parameters() if ".lora_B." in name]
        assert ups
        assert all(weight.any() for weight in ups)
        assert all(weight.requires_grad == (".lora_" in name) for name, weight in policy.model.named_parameters())
    named = {name.split(".")[-4] for name, _ in trained(target_modules=("q_proj", "down_proj")).model.named_parameters() if "lora" in name}
    assert named == {"q_proj", "down_proj"}


def test_the_reference_is_the_policy_before_its_adapters() -> None:
    """No second model is asked for; KL is exactly 0 before the first update and grows from there."""
    policy = tiny_policy()
    settings = SMALL_STEPS.model_copy(update={"lora": Lora(**LORA)})
    reports = train(policy, None, some_prompts(policy, 4).__getitem__, a_reward, num_questions=4, settings=settings, seed=5)
    first, *later = [report.metrics["kl"] for report in reports]
    assert first == 0
    assert all(kl > 0 for kl in later)


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_run_cut_off_and_resumed_equals_one_that_was_not(tmp_path: Path, stop_after: int) -> None:
    """Dropout included: what is dropped is decided by the step."""

    def warm_up(folder: Path, num_reports: int) -> Policy:
        policy = tiny_policy()
        examples = some_examples(policy)
        settings = SETTINGS.model_copy(update={"lora": Lora(**LORA, dropout=0.3)})
        reports = warmup.train(policy, examples.__getitem__, num_examples=5, settings=settings, seed=1, work_dir=folder)
        for _, _report in zip(range(num_reports), reports, strict=False):
            torch.rand(3)  # whatever else draws random numbers has no say
        reports.close()
        return policy

    whole = warm_up(tmp_path / "whole", 99)
    warm_up(tmp_path / "cut", stop_after)
    assert weights(warm_up(tmp_path / "cut", 99)) == weights(whole)

    reinforced, _ = run(tmp_path / "whole grpo", make=tiny_policy, lora=LORA)
    run(tmp_path / "cut grpo", stop_after, make=tiny_policy, lora=LORA)
    assert weights(run(tmp_path / "cut grpo", make=tiny_policy, lora=LORA)[0]) == weights(reinforced)
    kept, again = (list(map(untimed, read_reports(tmp_path / name))) for name in ("whole grpo", "cut grpo"))
    assert kept == again


def test_a_checkpoint_holds_adapters_only(tmp_path: Path) -> None:
    run(tmp_path, make=tiny_policy, lora=LORA)
    held = load_file(tmp_path / "step-000004" / "weights.safetensors")
    assert held
    assert all(".lora_" in name for name in held)
    with pytest.raises(ValueError, match=r"another run \(lora differ\)"):
        run(tmp_path, make=tiny_policy)


def test_the_seed_decides_how_adapters_begin() -> None:
    starts = []
    for seed in (0, 0, 1):
        policy = tiny_policy()
        torch.rand(7)
        add_adapters(policy, Lora(**LORA), seed)
        starts.append(weights(policy))
    assert starts[0] == starts[1] != starts[2]


def test_what_cannot_be_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"no linear layer 'qkv'; it has down_proj, gate_proj, k_proj"):
        add_adapters(tiny_policy(), Lora(target_modules=("qkv",)), 0)
    with pytest.raises(ValueError, match="other log-probabilities than were sampled"):
        StepGRPO(lora=Lora(dropout=0.1))
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"pip install 'r1vl\[lora\]'"):
        add_adapters(tiny_policy(), Lora(), 0)
