"""FSDP2 with two gloo processes: the same training as in one, from weights that no process holds whole."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing
from torch import Tensor
from torch.distributed.tensor import DTensor

from r1vl_core.config import StepGRPO, Warmup
from r1vl_core.policy.model import Policy, load_policy
from r1vl_core.policy.recompute import recompute_activations
from r1vl_core.policy.rollout import generate
from r1vl_core.policy.sharding import shard, whole
from r1vl_core.training import stepgrpo, warmup
from r1vl_core.training.checkpoint import read_reports
from r1vl_core.training.export import export
from r1vl_core.training.processes import wait_for_all
from r1vl_core.training.validation import Validation
from tests.core.tiny_policies import some_prompts, tiny_policy
from tests.core.training.test_warmup import some_examples
from tests.core.training.tiny_runs import a_reward, same_reward, sometimes_the_same
from tests.core.training.two_processes import in_two_processes

RATE = 2e-5
STEPS = StepGRPO(num_steps=2, questions_per_step=3, group_size=3, temperature=1.2, max_new_tokens=8, learning_rate=RATE, save_every=1)
CASES: dict[str, dict[str, Any]] = {
    "three questions": {},
    "small micro-batches": {"token_budget": 40, "num_updates": 2},
    "one question": {"questions_per_step": 1},
    "a rank that trains nothing": {"questions_per_step": 2, "beta": 0.0, "judge": sometimes_the_same, "num_steps": 4},
    "nothing to train": {"beta": 0.0, "judge": same_reward},
    "refilled": {"judge": sometimes_the_same, "refill_rounds": 2, "forward": "dense"},
    "adapters": {"lora": {"rank": 2, "alpha": 4.0}},
    "frozen vision, recomputed": {"freeze_vision": True, "frugal": True},
    "tied embeddings": {"tied": True},
    "evaluated": {"eval_every": 1, "keep": "best"},
    "stopped early": {"min_reward": 1.9, "stop_window": 1, "num_steps": 4},
}


def a_policy(accelerator: Any, *, tied: bool = False, frugal: bool = False, precision: Any = "fp32") -> Policy:
    policy = dataclasses.replace(tiny_policy(), precision=precision)
    if tied:
        for config in (policy.model.config, policy.model.config.text_config):
            config.tie_word_embeddings = True
        policy.model.tie_weights()
    if frugal:
        recompute_activations(policy)
    if accelerator:
        shard(policy.model, accelerator.device, accelerator.num_processes, gather_bf16=precision == "bf16")
    return policy


def warmed(folder: Path, accelerator: Any, num_reports: int = 99, token_budget: int = 2048, **changes: Any) -> Policy:
    """Its last step leaves one of two processes without an example."""
    policy = a_policy(accelerator, **changes)
    examples = some_examples(policy)
    settings = Warmup(num_epochs=1, batch_size=4, learning_rate=RATE, save_every=1)
    options: dict[str, Any] = {"num_examples": 5, "settings": settings, "seed": 1, "work_dir": folder, "token_budget": token_budget}
    reports = warmup.train(policy, examples.__getitem__, accelerator=accelerator, **options)
    for _ in zip(range(num_reports), reports, strict=False):
        pass
    reports.close()
    return policy


def reinforced(
    folder: Path,
    accelerator: Any,
    judge: Any = a_reward,
    token_budget: int = 2048,
    tied: bool = False,
    frugal: bool = False,
    **changes: Any,
) -> Policy:
    policy = a_policy(accelerator, tied=tied, frugal=frugal)
    reference = None if changes.get("lora") else a_policy(accelerator, tied=tied)
    prompts = some_prompts(policy, 4)
    settings = StepGRPO.model_validate(STEPS.model_dump() | changes)
    options: dict[str, Any] = {"num_questions": 4, "settings": settings, "seed": 5, "work_dir": folder, "token_budget": token_budget}
    if settings.eval_every:  # three questions: the processes' shares differ
        options["validation"] = Validation(prompts.__getitem__, judge, 3)
    list(stepgrpo.train(policy, reference, prompts.__getitem__, judge, accelerator=accelerator, **options))
    return policy


def train_all(folder: Path, accelerator: Any) -> None:
    """Every case, each exported; with two processes also a warm-up that is cut off and resumed."""
    is_first = accelerator is None or accelerator.is_main_process
    made = {name: reinforced(folder / name, accelerator, **changes) for name, changes in CASES.items()}
    made |= {"warm-up": warmed(folder / "warm-up", accelerator), "micro": warmed(folder / "micro", accelerator, token_budget=1)}
    warmed(folder / "resumed", accelerator, num_reports=1)
    wait_for_all(accelerator)  # the checkpoint is there once the process that writes it has
    made["resumed"] = warmed(folder / "resumed", accelerator)
    made["bf16"] = warmed(folder / "bf16", accelerator, precision="bf16")
    for name, policy in made.items():
        export(policy, folder / f"{name} exported", writes=is_first)
    if accelerator:
        check_shards(made["warm-up"])


def check_shards(policy: Policy) -> None:
    """Each process holds a part of every parameter, also after sampling, where it held them all; each samples what it likes."""
    for parameter in policy.model.parameters():
        assert isinstance(parameter, DTensor)
        assert parameter.to_local().numel() < parameter.numel() or len(parameter) == 1
    prompts = some_prompts(policy, 3)
    with whole(policy.model):
        alone = torch.distributed.get_rank()
        sampled = [generate(policy, prompts[:1], max_new_tokens=3 + 4 * alone) for _ in range(1 + 2 * alone)]
    assert len(sampled[0][0].token_ids) <= 3 + 4 * alone
    assert all(isinstance(parameter, DTensor) for parameter in policy.model.parameters())


def weights(folder: Path) -> dict[str, Tensor]:
    policy = load_policy(folder, prompt="plain", max_pixels=140 * 140)
    assert policy.model.config.architectures == ["Qwen2VLForConditionalGeneration"]
    return policy.model.state_dict()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    alone, together = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("together")
    train_all(alone, None)
    in_two_processes(train_all, together)
    return alone, together


@pytest.mark.parametrize("name", [*CASES, "warm-up", "micro", "resumed"])
def test_sharded_training_is_the_same_training(folders: tuple[Path, Path], name: str) -> None:
    """To 1e-6 and not to the bit: two partial sums of a gradient are rounded before they meet, and AdamW's first steps, which divide a
    gradient by its own size, turn that rounding into a share of the learning rate where a gradient is near 0."""
    alone, together = folders
    expected, found = (weights(folder / f"{name} exported") for folder in folders)
    assert found.keys() == expected.keys()
    for key, weight in expected.items():
        torch.testing.assert_close(found[key], weight, atol=1e-6, rtol=0)
    start = tiny_policy().model.state_dict()
    changed = [key for key in start if key in expected and not torch.equal(start[key], expected[key])]
    # The last two hand on the policy of before their first step.
    assert bool(changed) == (name not in ("nothing to train", "stopped early", "evaluated"))
    for mine, theirs in zip(read_reports(alone / name), read_reports(together / name), strict=True):
        assert [sample["text"] for sample in mine.samples] == [sample["text"] for sample in theirs.samples]
        for metric in {"loss", "grad_norm", "tokens", "trained_tokens", "entropy", "kl", "logprob_gap", "image_gain"} & mine.metrics.keys():
            assert abs(mine.metrics[metric] - theirs.metrics[metric]) < 1e-4, metric


def test_resumed_from_a_gathered_checkpoint_it_equals_the_run_that_was_not_cut_to_the_bit(folders: tuple[Path, Path]) -> None:
    _, together = folders
    names = ("warm-up exported", "resumed exported")
    assert len({(together / name / "model.safetensors").read_bytes() for name in names}) == 1
    assert len({(together / name / "step-000002" / "weights.safetensors").read_bytes() for name in ("warm-up", "resumed")}) == 1


def test_one_process_goes_on_from_what_two_have_saved(folders: tuple[Path, Path], tmp_path: Path) -> None:
    in_two_processes(first_step, tmp_path)
    policy = warmed(tmp_path, None)
    for name, weight in weights(folders[0] / "warm-up exported").items():
        torch.testing.assert_close(policy.model.state_dict()[name], weight, atol=1e-6, rtol=0)
    assert len(list(read_reports(tmp_path))) == 2


def first_step(folder: Path, accelerator: Any) -> None:
    warmed(folder, accelerator, num_reports=1)


def test_weights_that_travel_in_bf16_are_kept_in_fp32(folders: tuple[Path, Path]) -> None:
    alone, together = (weights(folder / "bf16 exported") for folder in folders)
    for name, weight in together.items():
        assert weight.dtype == torch.float32
        torch.testing.assert_close(weight, alone[name], atol=5 * RATE, rtol=0)
    losses = [[report.metrics["loss"] for report in read_reports(folder / "bf16")] for folder in folders]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
