"""On a device of its own the engine computes what it does in main memory, mixes no devices, and seldom waits.

Where there is a GPU, that is the device; elsewhere one is pretended (`tests/core/pretend_device.py`), in a process of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from r1vl_core.config import Lora, Warmup
from r1vl_core.policy.logprobs import score_dense, score_shared
from r1vl_core.policy.model import Policy
from r1vl_core.policy.recompute import recompute_activations
from r1vl_core.policy.rollout import generate
from r1vl_core.training import warmup
from tests.core.tiny_policies import ARCHITECTURES, favour, some_prompts, tiny_policy
from tests.core.training.test_warmup import some_examples
from tests.core.training.tiny_runs import ending_policy, run

pretended = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, and nothing to pretend")

CASES: dict[str, dict[str, Any]] = {
    "the paper's": {},
    "dense": {"forward": "dense"},
    "two updates": {"num_updates": 2, "beta": 0.0},
    "adapters": {"lora": Lora(rank=2)},
    "frozen vision": {"freeze_vision": True},
    "recomputed": {},
}


def elsewhere(work: Callable[[], None]) -> None:
    """Call it in a process of its own, which the pretended device is for. Raises what it raised."""
    torch.multiprocessing.spawn(_alone, args=(work,), nprocs=1)


def _alone(_: int, work: Callable[[], None]) -> None:
    torch.set_num_threads(1)
    work()


def made(name: str) -> Policy:
    policy = ending_policy()
    if name == "recomputed":
        recompute_activations(policy)
    return policy


def train_everything() -> None:
    from tests.core.pretend_device import Pretending, on_device

    for name, changes in CASES.items():
        options = {"num_steps": 1, "num_questions": 3, **changes}
        _, (expected,) = run(None, make=lambda name=name: made(name), **options)
        with Pretending():
            _, (found,) = run(None, make=lambda name=name: on_device(made(name)), **options)
        assert [sample["token_ids"] for sample in found.samples] == [sample["token_ids"] for sample in expected.samples], name
        for metric in ("loss", "grad_norm", "kl", "entropy", "image_gain"):
            assert abs(found.metrics[metric] - expected.metrics[metric]) < 1e-4, (name, metric)
    with Pretending():
        policy = on_device(tiny_policy())
        settings = Warmup(num_epochs=1, batch_size=4)
        assert list(warmup.train(policy, some_examples(policy).__getitem__, num_examples=5, settings=settings, seed=1))


def sample_and_score() -> None:
    from tests.core.pretend_device import Pretending, on_device

    for architecture in ARCHITECTURES:
        here, there = tiny_policy(architecture), tiny_policy(architecture)
        prompts, sampling = some_prompts(here, 3), {"num_samples": 2, "max_new_tokens": 70, "temperature": 1.0, "seeds": [(0,), (1,), (2,)]}
        rollouts = generate(here, prompts, **sampling)  # type: ignore[arg-type]
        groups = [[torch.tensor(rollout.token_ids) for rollout in rollouts[at : at + 2]] for at in (0, 2, 4)]
        with Pretending():
            on_device(there)
            for shared in (True, False):
                found = generate(there, prompts, shared=shared, **sampling)  # type: ignore[arg-type]
                assert [rollout.token_ids for rollout in found] == [rollout.token_ids for rollout in rollouts]
            for score in (score_shared, score_dense):
                scores = score(there, prompts, groups, 1.0)
                scores.logprobs.sum().backward()
                torch.testing.assert_close(
                    scores.logprobs.detach().cpu(), score(here, prompts, groups, 1.0).logprobs.detach(), atol=1e-4, rtol=0
                )


def count_waits() -> None:
    from tests.core.pretend_device import Pretending, on_device

    endless = tiny_policy()
    favour(endless, 50, by=1e4)
    prompts = some_prompts(endless, 3)
    with Pretending() as seen:
        on_device(endless)
        found = []
        for num_rows, num_tokens in ((1, 10), (1, 30), (4, 30)):
            seen.waits.clear()
            seen.sent.clear()
            generate(endless, prompts, num_samples=num_rows, max_new_tokens=num_tokens)
            found.append((seen.waits.total(), seen.sent.total()))
        (few_waits, few_sent), (waits, sent), (waits_of_more, sent_of_more) = found
        assert (waits - few_waits, sent - few_sent) == (20, 0), "a token should wait once, whether a response ended, and send nothing"
        assert (waits_of_more, sent_of_more) == (waits, sent), "rows should not be waited for one by one"
        seen.waits.clear()
        run(None, num_steps=1, probe_every=0, make=lambda: on_device(ending_policy()))
        assert not [line for line in seen.waits if "_attend" in line], "a layer should not wait"
        assert sum(count for line, count in seen.waits.items() if line.startswith("training/")) <= 8, seen.waits


def mix_devices() -> None:
    from tests.core.pretend_device import DEVICE, Pretending

    with Pretending() as seen:
        there, here = torch.zeros(3, 2, device=DEVICE), torch.zeros(3, 2)
        for mix in (lambda: there + here, lambda: torch.cat([there, here]), lambda: there @ here.T):
            with pytest.raises(RuntimeError, match="two devices"):
                mix()
        assert torch.equal((there + 1).cpu(), here + 1)
        assert (there[1:] * torch.tensor(2.0)).device == DEVICE
        assert seen.waits.total() == 1
        there[:, 0] = 3
        assert there.sum().item() == 9
        assert there[torch.tensor([0, 1])].device == DEVICE
        assert there[there[:, 0] > 1].device == DEVICE
        assert (seen.waits.total(), seen.sent.total()) == (3, 1)


@pretended
def test_the_pretended_device_refuses_a_mix_and_notes_a_wait() -> None:
    elsewhere(mix_devices)


@pretended
def test_training_on_a_device_is_training_in_main_memory() -> None:
    elsewhere(train_everything)


@pretended
def test_sampling_and_scoring_on_a_device_are_those_in_main_memory() -> None:
    elsewhere(sample_and_score)


@pretended
def test_the_host_waits_once_a_token_and_never_for_a_row_or_a_layer() -> None:
    elsewhere(count_waits)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", CASES)
def test_training_on_a_gpu_is_training_in_main_memory(name: str) -> None:
    def there() -> Policy:
        policy = dataclasses.replace(made(name), precision="fp32")
        policy.model.to("cuda")
        return policy

    options = {"num_steps": 1, "num_questions": 3, **CASES[name]}
    _, (expected,) = run(None, make=lambda: made(name), **options)
    _, (found,) = run(None, make=there, **options)
    for metric in ("loss", "grad_norm", "kl", "entropy"):
        assert found.metrics[metric] == pytest.approx(expected.metrics[metric], abs=1e-3), metric
