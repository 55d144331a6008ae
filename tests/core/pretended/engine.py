"""The engine on a device that is pretended: `test_on_a_device.py` runs these in a process of its own, where there is no GPU."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from r1vl_core.config import Warmup
from r1vl_core.policy.logprobs import score_dense, score_shared
from r1vl_core.policy.rollout import generate
from r1vl_core.training import warmup
from tests.core.pretended.device import DEVICE, Pretending, on_device
from tests.core.tiny_policies import ARCHITECTURES, favour, some_prompts, tiny_policy
from tests.core.training.test_on_a_device import CASES, made
from tests.core.training.test_warmup import some_examples
from tests.core.training.tiny_runs import ending_policy, run


def test_training_is_what_it_is_in_main_memory() -> None:
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


def test_sampling_and_scoring_are_what_they_are_in_main_memory() -> None:
    for architecture in ARCHITECTURES:
        here, there = tiny_policy(architecture), tiny_policy(architecture)
        prompts, sampling = some_prompts(here, 3), {"num_samples": 2, "max_new_tokens": 20, "temperature": 1.0, "seeds": [(0,), (1,), (2,)]}
        rollouts = generate(here, prompts, **sampling)  # type: ignore[arg-type]
        groups = [[torch.tensor(rollout.token_ids) for rollout in rollouts[at : at + 2]] for at in (0, 2, 4)]
        with Pretending():
            on_device(there)
            for shared in (True, False):
                found = generate(there, prompts, shared=shared, **sampling)  # type: ignore[arg-type]
                assert [rollout.token_ids for rollout in found] == [rollout.token_ids for rollout in rollouts]
            found = generate(dataclasses.replace(there, decoding="graphs"), prompts, **sampling)  # type: ignore[arg-type]
            assert [rollout.token_ids for rollout in found] == [rollout.token_ids for rollout in rollouts]
            for score in (score_shared, score_dense):
                scores = score(there, prompts, groups, 1.0)
                scores.logprobs.sum().backward()
                torch.testing.assert_close(
                    scores.logprobs.detach().cpu(), score(here, prompts, groups, 1.0).logprobs.detach(), atol=1e-4, rtol=0
                )


def test_the_host_waits_once_a_token_and_never_for_a_row_or_a_layer() -> None:
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
        found = []
        for num_tokens in (16, 64):
            seen.waits.clear()
            seen.sent.clear()
            generate(dataclasses.replace(endless, decoding="graphs"), prompts, num_samples=2, max_new_tokens=num_tokens)
            found.append((seen.waits.total(), seen.sent.total()))
        (few_waits, few_sent), (waits, sent) = found
        assert (waits - few_waits, sent - few_sent) == (3, 0), "steps of fixed shape should wait for nothing but a look at every 16th"
        seen.waits.clear()
        run(None, num_steps=1, probe_every=0, make=lambda: on_device(ending_policy()))
        assert not [line for line in seen.waits if "_attend" in line], "a layer should not wait"
        assert sum(count for line, count in seen.waits.items() if line.startswith("training/")) <= 8, seen.waits


def test_a_mix_is_refused_and_a_wait_is_noted() -> None:
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
