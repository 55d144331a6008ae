"""Two processes under gloo train what one process trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing

from r1vl_core.config import StepGRPO, Warmup
from r1vl_core.training import stepgrpo, warmup
from r1vl_core.training.checkpoint import read_reports
from tests.core.tiny_policies import some_prompts, tiny_policy
from tests.core.training.test_warmup import some_examples
from tests.core.training.tiny_runs import a_reward, ending_policy, run, step_reward, step_writer
from tests.core.training.two_processes import in_two_processes

SHORT: dict[str, Any] = {"num_steps": 2, "learning_rate": 5e-5, "judge": step_reward, "make": step_writer, "num_updates": 2}
METHODS: dict[str, dict[str, Any]] = {
    "step credit": {**SHORT, "credit": "step", "refill_rounds": 2},
    "rloo, token mean": {**SHORT, "advantage": "rloo", "loss_mean": "token", "reward": "step_rar", "refill_rounds": 1, "beta": 0.0},
    "dr_grpo": {**SHORT, "advantage": "dr_grpo", "loss_mean": "constant", "reward": "outcome", "mask_truncated": True, "beta": 0.0},
    "step_rvr": {**SHORT, "reward": "step_rvr", "refill_rounds": 1},
}


def train_all(folder: Path, accelerator: Any) -> None:
    """Warm-up, whose last step leaves one of two processes without an example, and StepGRPO with an odd number of questions."""
    policy = tiny_policy()
    examples = some_examples(policy)
    settings = Warmup(num_epochs=1, batch_size=4, learning_rate=5e-5, save_every=1)
    options: dict[str, Any] = {"seed": 1, "accelerator": accelerator}
    list(warmup.train(policy, examples.__getitem__, num_examples=5, settings=settings, work_dir=folder / "warmup", **options))
    reinforced, reference = ending_policy(), ending_policy()
    prompts = some_prompts(reinforced, 4)
    dials = StepGRPO(num_steps=2, questions_per_step=3, group_size=3, temperature=1.2, max_new_tokens=8, learning_rate=5e-5, save_every=1)
    options |= {"num_questions": 4, "settings": dials, "work_dir": folder / "stepgrpo"}
    list(stepgrpo.train(reinforced, reference, prompts.__getitem__, a_reward, **options))
    others = [run(folder / name, accelerator=accelerator, **changes)[0] for name, changes in METHODS.items()]
    rank = accelerator.process_index if accelerator else 0
    torch.save([one.model.state_dict() for one in (policy, reinforced, *others)], folder / f"weights-{rank}.pt")


def test_two_processes_equal_one(tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()
    train_all(alone, None)
    in_two_processes(train_all, together)
    expected = torch.load(alone / "weights-0.pt", weights_only=True)
    first, second = (torch.load(together / f"weights-{rank}.pt", weights_only=True) for rank in range(2))
    for one, of_first, of_second in zip(expected, first, second, strict=True):
        for name, weight in one.items():
            assert torch.equal(of_first[name], of_second[name]), "the two processes must not drift apart"
            # Gradients are summed in another order, and AdamW's first steps turn that rounding into a share of the learning rate.
            torch.testing.assert_close(of_first[name], weight, atol=1e-6, rtol=0)
    for stage in ("warmup", "stepgrpo", *METHODS):
        for mine, theirs in zip(read_reports(alone / stage), read_reports(together / stage), strict=True):
            assert [sample["text"] for sample in mine.samples] == [sample["text"] for sample in theirs.samples]
            for name in {"loss", "grad_norm", "tokens", "reward", "groups_sampled", "groups_skipped", "clip_low"} & mine.metrics.keys():
                assert abs(mine.metrics[name] - theirs.metrics[name]) < 1e-4, name
    step_credit, rloo = (list(read_reports(alone / name)) for name in ("step credit", "rloo, token mean"))
    assert any(any(sample["step_advantages"]) for report in step_credit for sample in report.samples)
    assert any(report.metrics["refill_rounds"] for report in [*step_credit, *rloo])
