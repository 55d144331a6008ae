"""When memory runs out, less is computed at once: the run goes on and comes to the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing
from accelerate import Accelerator

from r1vl_core.config import Warmup
from r1vl_core.policy.model import Policy
from r1vl_core.policy.rollout import generate
from r1vl_core.policy.room import generate_in_room, make_room
from r1vl_core.report import Report
from r1vl_core.training import warmup
from tests.core.tiny_policies import some_prompts, tiny_policy
from tests.core.training.test_warmup import some_examples
from tests.core.training.tiny_runs import ending_policy, run
from tests.core.training.two_processes import in_two_processes

STEPS: dict[str, Any] = {"num_steps": 2, "learning_rate": 5e-5, "num_updates": 2, "probe_every": 1}


def short_of_memory(policy: Policy, *, tokens: int = 10**6, rows: int = 10**6, backward: int = 10**6) -> Policy:
    """From now on a forward of more tokens or rows, or a backward of more tokens, raises what a device out of memory raises."""
    inner = policy.model.model
    plain = inner.forward

    def forward(**kwargs: Any) -> Any:
        num_rows, num_tokens = kwargs["input_ids"].shape[0], kwargs["input_ids"].numel()
        if num_tokens > tokens or num_rows > rows:
            raise torch.OutOfMemoryError(f"tried to allocate {num_tokens} tokens\nand more to say")
        out = plain(**kwargs)
        if num_tokens > backward and out.last_hidden_state.requires_grad:
            out.last_hidden_state.register_hook(no_memory)
        return out

    inner.forward = forward
    return policy


def no_memory(_: torch.Tensor) -> None:
    raise torch.OutOfMemoryError("tried to allocate a gradient")


def assert_same(policy: Policy, expected: Policy) -> None:
    for found, wanted in zip(policy.model.parameters(), expected.model.parameters(), strict=True):
        # Sums of gradients are taken in another order, and AdamW's first steps turn that rounding into a share of the learning rate.
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("changes", [{}, {"forward": "dense"}], ids=["shared", "dense"])
@pytest.mark.parametrize("limits", [{"tokens": 130}, {"backward": 130}], ids=["forward", "backward"])
def test_an_update_without_enough_memory_is_the_update_with_a_small_budget(
    limits: dict[str, int], changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    expected, wanted = run(None, token_budget=130, **STEPS, **changes)
    caplog.clear()
    policy, reports = run(None, make=lambda: short_of_memory(ending_policy(), **limits), **STEPS, **changes)
    assert_same(policy, expected)
    for found, other in zip(reports, wanted, strict=True):
        assert [sample["text"] for sample in found.samples] == [sample["text"] for sample in other.samples]
        for name in ("loss", "kl", "entropy", "logprob_gap", "trained_tokens", "grad_norm", "image_gain", "clip_low"):
            assert found.metrics[name] == pytest.approx(other.metrics[name], abs=1e-5), name
    said = [record.getMessage() for record in caplog.records if "out of memory" in record.getMessage()]
    assert len(said) == sum(report.metrics["memory_halvings"] for report in reports) > 0
    assert all("\n" not in line and "the result is the same" in line for line in said)
    assert reports[-1].metrics["memory_halvings"] == 0, "the lower limit stays"
    assert all(report.metrics["memory_halvings"] == 0 for report in wanted)


def test_a_gradient_spoiled_halfway_is_made_again_from_the_first_micro_batch() -> None:
    """Memory runs out once, in the backward pass of the second micro-batch, when the first is in the gradient already."""
    expected, _ = run(None, token_budget=130, **STEPS)
    backwards: list[int] = []

    def make() -> Policy:
        policy = ending_policy()
        inner = policy.model.model
        plain = inner.forward

        def short_once(_: torch.Tensor) -> None:
            backwards.append(len(backwards))
            if len(backwards) == 2:
                no_memory(_)

        def forward(**kwargs: Any) -> Any:
            out = plain(**kwargs)
            if out.last_hidden_state.requires_grad:
                out.last_hidden_state.register_hook(short_once)
            return out

        inner.forward = forward
        return policy

    policy, reports = run(None, make=make, token_budget=130, **STEPS)
    assert reports[0].metrics["memory_halvings"] == 1
    assert_same(policy, expected)


@pytest.mark.parametrize("rows", [5, 2, 1])
def test_rollouts_of_fewer_rows_at_once_are_the_same_rollouts(rows: int) -> None:
    policy = ending_policy(by=2.0)
    prompts, seeds = some_prompts(policy, 4), [(3, index) for index in range(4)]
    sampling: dict[str, Any] = {"num_samples": 3, "temperature": 1.2, "max_new_tokens": 20}
    expected = generate(policy, prompts, seeds=seeds, **sampling)
    room = make_room(2048, longest="")
    found = generate_in_room(room, short_of_memory(policy, rows=rows), prompts, seeds=seeds, **sampling)
    assert [(one.question_id, one.token_ids) for one in found] == [(one.question_id, one.token_ids) for one in expected]
    assert room.num_halved == {5: 2, 2: 3, 1: 3}[rows]
    assert room.rows.value <= rows
    again = room.num_halved
    assert [one.token_ids for one in generate_in_room(room, policy, prompts, seeds=seeds, **sampling)] == [
        one.token_ids for one in expected
    ]
    assert room.num_halved == again


@pytest.mark.parametrize("limits", [{"tokens": 30}, {"backward": 30}, {"rows": 0}])
def test_where_not_even_one_path_fits_the_cure_is_said(limits: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"not even one path fits into memory \(.*tried to allocate.*lower stepgrpo.max_new_tokens or"):
        run(tmp_path, make=lambda: short_of_memory(ending_policy(), **limits))
    assert not list(tmp_path.glob("step-*")), "there was no update to save"


def the_second_short_of_memory(folder: Path, accelerator: Accelerator) -> None:
    rank = accelerator.process_index
    limits = {"tokens": 130, "rows": 2} if rank else {}
    policy, reports = run(None, accelerator=accelerator, make=lambda: short_of_memory(ending_policy(), **limits), **STEPS)
    torch.save([policy.model.state_dict(), reports[0].metrics["memory_halvings"]], folder / f"{rank}.pt")


def test_a_process_that_halves_alone_stays_in_step_with_the_others(tmp_path: Path) -> None:
    expected, _ = run(None, **STEPS)
    in_two_processes(the_second_short_of_memory, tmp_path)
    (first, halved), (second, also) = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert halved == also > 0
    for name, weight in expected.model.state_dict().items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], weight, atol=1e-6, rtol=0)


@pytest.mark.parametrize("limits", [{"tokens": 130}, {"backward": 130}], ids=["forward", "backward"])
def test_warm_up_without_enough_memory_is_warm_up_with_a_small_budget(limits: dict[str, int], caplog: pytest.LogCaptureFixture) -> None:
    def train(policy: Policy, token_budget: int) -> tuple[Policy, list[Report]]:
        settings = Warmup(num_epochs=2, batch_size=4, learning_rate=5e-5)
        options: dict[str, Any] = {"num_examples": 5, "settings": settings, "seed": 1, "token_budget": token_budget}
        return policy, list(warmup.train(policy, some_examples(policy).__getitem__, **options))

    expected, wanted = train(tiny_policy(), 130)
    caplog.clear()
    policy, reports = train(short_of_memory(tiny_policy(), **limits), 10_000)
    assert_same(policy, expected)
    for found, other in zip(reports, wanted, strict=True):
        for name in ("loss", "token_accuracy", "tokens", "grad_norm"):
            assert found.metrics[name] == pytest.approx(other.metrics[name], abs=1e-5), name
    said = [record for record in caplog.records if "out of memory" in record.getMessage()]
    assert len(said) == sum(report.metrics["memory_halvings"] for report in reports) > 0
    with pytest.raises(ValueError, match=r"not even one path fits.*lower curate.max_path_tokens"):
        train(short_of_memory(tiny_policy(), tokens=10), 10_000)
