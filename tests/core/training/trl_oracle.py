"""TRL as an oracle: what its GRPOTrainer makes of the cases of `trl_cases.py`, written to `trl_oracle.json`.

    .r1vl-peer/bin/python -m tests.core.training.trl_oracle

Only sampling is taken out of TRL's hands: its own code tokenises, rewards, compares, scores, adds up the loss and steps. It needs the
environment that `tests/benchmarks/step_time.py` builds, since TRL needs torchvision; the tests read what it wrote.
"""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
import transformers
import trl
from datasets import Dataset
from transformers import Qwen2VLProcessor, Qwen2VLVideoProcessor, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from r1vl_core.policy.model import Policy
from r1vl_core.prompts import render_prompt
from tests.core.training import trl_cases
from tests.core.training.trl_cases import CASES, FOUND, GROUP_SIZE, LEARNING_RATE, MAX_TOKENS, NUM_QUESTIONS, TEMPERATURE, Case


class Given(GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer, handed its samples."""

    policy: Policy
    advantages: list[list[float]]

    def _generate_and_score_completions(self, inputs: list[Any]) -> dict[str, Any]:
        made: dict[str, Any] = super()._generate_and_score_completions(inputs)
        self.advantages.append(made["advantages"].tolist())
        return made

    def _generate_single_turn(self, prompt_ids: list[list[int]], *_: Any, **__: Any) -> tuple[list[list[int]], None]:
        groups = trl_cases.paths(self.policy)
        asked = [self.policy.encode(str(at), *question) for at, question in enumerate(trl_cases.questions())]
        at = {tuple(prompt.input_ids.tolist()): list(group) for prompt, group in zip(asked, groups, strict=True)}
        return [list(at[tuple(ids)].pop(0)) for ids in prompt_ids], None


class Record(TrainerCallback):  # type: ignore[misc]
    """Fingerprints of the gradient before, and of the weights after, each optimiser step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []

    def on_pre_optimizer_step(self, *_: Any, model: torch.nn.Module, **__: Any) -> None:
        """After clipping."""
        self.steps.append({"clipped_gradient": trl_cases.fingerprints(model, of_gradient=True)})

    def on_optimizer_step(self, *_: Any, model: torch.nn.Module, **__: Any) -> None:
        """Before the gradient is cleared."""
        self.steps[-1]["weights"] = trl_cases.fingerprints(model, of_gradient=False)

    def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
        """What TRL says of the step."""
        if "grad_norm" in logs:
            self.steps[-1] |= {name: logs[name] for name in ("loss", "grad_norm", "learning_rate") if name in logs}


def found(case: Case) -> dict[str, Any]:
    """Advantages of each batch of samples, in the order of the paths, and both steps."""
    policy, reference = trl_cases.policy_and_reference()
    policy.tokenizer.padding_side = "left"
    asked = trl_cases.questions()
    rows = [{"prompt": [{"role": "user", "content": render_prompt("plain", question=text)}], "image": image} for text, image in asked]
    paid = {
        path: reward
        for group, earned in zip(trl_cases.paths(policy), trl_cases.rewards(), strict=True)
        for path, reward in zip(group, earned, strict=True)
    }
    record = Record()
    with TemporaryDirectory() as folder:
        policy.model.save_pretrained(Path(folder) / "model")
        trainer = Given(
            model=str(Path(folder) / "model"),
            reward_funcs=lambda completion_ids, **_: [paid[tuple(ids)] for ids in completion_ids],
            args=arguments(case, folder),
            train_dataset=Dataset.from_list(rows),
            processing_class=processor(policy),
            callbacks=[record],
        )
        trainer.policy, trainer.advantages = policy, []
        if trainer.ref_model is not None:
            trainer.ref_model.load_state_dict(reference.model.state_dict())
        trainer.train()
    return {"advantages": trainer.advantages, "steps": record.steps}


def processor(policy: Policy) -> Qwen2VLProcessor:
    """What TRL prepares prompts with; it needs a video processor, hence torchvision."""
    return Qwen2VLProcessor(
        image_processor=policy.image_processor,
        tokenizer=policy.tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=policy.tokenizer.chat_template,
    )


def arguments(case: Case, folder: str) -> GRPOConfig:
    """A case as TRL's settings."""
    return GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=NUM_QUESTIONS * GROUP_SIZE,
        num_generations=GROUP_SIZE,
        max_completion_length=MAX_TOKENS,
        max_steps=2,
        learning_rate=LEARNING_RATE,
        temperature=TEMPERATURE,
        shuffle_dataset=False,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        report_to="none",
        logging_steps=1,
        save_strategy="no",
        disable_tqdm=True,
        **case.trl,
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    versions = {"trl": trl.__version__, "transformers": transformers.__version__, "torch": torch.__version__}
    everything = {"versions": versions, "cases": {name: found(case) for name, case in CASES.items()}}
    FOUND.write_text(json.dumps(everything) + "\n", encoding="utf-8")
