"""One side of `step_time.py` or `gpu_step.py`, in a process of its own: `python step_sides.py ours|graphs|trl CASE` prints one JSON object.

Both sides train the same seeded Qwen2-VL on the same pictures, questions, group size, lengths, temperature and beta, with the same
reward, on the device there is. `PEAK` in the environment, "TERAFLOPS TERABYTES", is that of a device whose name `step_floor.py` does not
know.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import warnings
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
from PIL import Image
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen2VLForConditionalGeneration

from r1vl_core.policy.bundled import bundled_checkpoint
from r1vl_core.policy.model import Policy, make_policy
from r1vl_core.prompts import render_prompt
from tests.benchmarks.step_cases import Case
from tests.benchmarks.step_floor import Peak, floor
from tests.benchmarks.step_meters import Meter, Prefills
from tests.benchmarks.step_models import DEVICE, make_model

LEARNING_RATE, BETA, TEMPERATURE = 1e-6, 0.04, 1.2


def questions(case: Case) -> list[tuple[str, Image.Image]]:
    """More questions than all steps take, each with a picture of its own."""
    rng = np.random.default_rng(0)
    words = ["seven", "plus", "row", "red", "sum", "of", "the", "digit"]
    made = []
    for _ in range(case.num_questions * (case.num_steps + 1)):
        pixels = rng.integers(0, 256, (case.side, case.side, 3), dtype=np.uint8)
        made.append((" ".join(rng.choice(words, case.num_words)), Image.fromarray(pixels)))
    return made


def reward_of(text: str) -> float:
    """Cheap, and different within a group."""
    return (sum(map(ord, text)) % 97) / 97


def ours(case: Case, meter: Meter, decoding: str = "eager") -> dict[str, Any]:
    """Our side, which decodes in that way."""
    from r1vl_core.reasoning.rewards import Reward
    from r1vl_core.training.memory import token_budget
    from r1vl_core.training.stepgrpo import train

    policy, settings, prefills = our_policy(case, decoding), our_settings(case), Prefills()
    prefills.watch(policy)
    asked = questions(case)

    def judge(_: int, text: str) -> Reward:
        return Reward(reward_of(text), 0.0, 0.0, (), (), "wrong", "", None, ())

    reports = train(
        policy,
        None if case.lora else our_policy(case),
        lambda n: policy.encode(str(n), *asked[n]),
        judge,
        num_questions=len(asked),
        settings=settings,
        seed=0,
        token_budget=token_budget(DEVICE),
    )
    meter.start()
    lengths, phases = [], []
    for report in reports:
        meter.lap()
        lengths.append(report.metrics["mean_tokens"])
        phases.append(phases_of(report.metrics, prefills.seconds[-1]))
        prefills.seconds.append(0.0)
    prompt = policy.encode("0", *asked[0])
    given = os.environ.get("PEAK", "").split()
    peak = Peak(*map(float, given)) if given else Peak.of(torch.cuda.get_device_name()) if DEVICE == "cuda" else None
    return {
        "prompt_tokens": len(prompt),
        "mean_tokens": float(np.mean(lengths)),
        "parameters": policy.model.num_parameters(),
        "phases": phases[1:],
        "floor": floor(policy, prompt, case, peak) if peak else None,
    }


def our_policy(case: Case, decoding: str = "eager") -> Policy:
    """The policy, or its equal the reference. Where lengths are fixed its end tokens are as impossible as placeholders."""
    tokenizer = load_tokenizer()
    policy = make_policy(make_model(tokenizer, case), tokenizer, pil_images(case), prompt="plain", max_pixels=case.side**2)
    ends = policy.end_token_ids if case.fixed_length else ()
    return dataclasses.replace(
        policy, precision=case.precision, decoding=decoding, forbidden_token_ids=(*policy.forbidden_token_ids, *ends)
    )


def our_settings(case: Case) -> Any:
    """Our settings for the work."""
    from r1vl_core.config import Lora, StepGRPO

    return StepGRPO(
        num_steps=case.num_steps + 1,
        questions_per_step=case.num_questions,
        group_size=case.group_size,
        temperature=TEMPERATURE,
        max_new_tokens=case.max_new_tokens,
        learning_rate=LEARNING_RATE,
        beta=BETA,
        lora=Lora() if case.lora else None,
        probe_every=0,
    )


def phases_of(metrics: dict[str, float], prefill: float) -> dict[str, float]:
    """Seconds of a step by phase; cutting micro-batches counts as part of the update."""
    seconds = {name: metrics[f"seconds_{name}"] for name in ("encode", "rollout", "reward", "probe", "reference", "update")}
    rollout, cutting = seconds.pop("rollout"), seconds.pop("probe")
    return {**seconds, "prefill": prefill, "decode": rollout - prefill, "update": seconds["update"] + cutting}


def trl(case: Case, meter: Meter) -> dict[str, Any]:
    """The peer's side: TRL's trainer as its documentation has it, without gradient checkpointing, which would slow it down."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOTrainer

    class Laps(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            meter.start()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            meter.lap()

    tokenizer = load_tokenizer()
    tokenizer.padding_side = "left"
    processor = trl_processor(tokenizer, case)
    rows = [
        {"prompt": [{"role": "user", "content": render_prompt("plain", question=text)}], "image": image} for text, image in questions(case)
    ]
    lengths: list[float] = []

    def reward(completions: list[Any], completion_ids: list[list[int]], **_: Any) -> list[float]:
        lengths.append(float(np.mean([len(ids) for ids in completion_ids])))
        return [reward_of(completion[0]["content"]) for completion in completions]

    with TemporaryDirectory() as folder:
        model = make_model(tokenizer, case)
        trainer = GRPOTrainer(
            # the trainer copies its reference from a folder, so it is given one
            model=saved(model, Path(folder) / "model"),
            peft_config=adapters(case),
            reward_funcs=reward,
            args=trl_arguments(case, folder),
            train_dataset=Dataset.from_list(rows),
            processing_class=processor,
            callbacks=[Laps()],
        )
        trainer.train()
    text, image = questions(case)[0]
    message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": render_prompt("plain", question=text)}]}]
    prompt = processor(text=[processor.apply_chat_template(message, add_generation_prompt=True)], images=[image])
    return {
        "prompt_tokens": len(prompt["input_ids"][0]),
        "mean_tokens": float(np.mean(lengths)),
        "parameters": trainer.model.num_parameters(),
    }


def trl_processor(tokenizer: PreTrainedTokenizerFast, case: Case) -> Any:
    """The processor TRL needs; it is the one that needs torchvision."""
    from transformers import Qwen2VLProcessor, Qwen2VLVideoProcessor
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor

    size = image_size(case)
    return Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size, patch_size=14, temporal_patch_size=2, merge_size=2),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=size),
        chat_template=tokenizer.chat_template,
    )


def trl_arguments(case: Case, folder: str) -> Any:
    """TRL's settings for the same work."""
    from trl import GRPOConfig

    at_once = case.micro_rows or case.num_questions * case.group_size
    return GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=case.num_questions * case.group_size // at_once,
        num_generations=case.group_size,
        max_completion_length=case.max_new_tokens,
        max_steps=case.num_steps + 1,
        learning_rate=LEARNING_RATE,
        beta=BETA,
        temperature=TEMPERATURE,
        loss_type="grpo",
        gradient_checkpointing=False,
        bf16=case.precision == "bf16",
        generation_kwargs={"min_new_tokens": case.max_new_tokens} if case.fixed_length else None,
        use_cpu=not torch.cuda.is_available(),
        report_to="none",
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
    )


def adapters(case: Case) -> Any:
    """Where adapters are trained: peft's, with the same numbers as ours."""
    if not case.lora:
        return None
    from peft import LoraConfig

    from r1vl_core.config import Lora

    lora = Lora()
    return LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=list(lora.target_modules), exclude_modules=".*visual.*")


def saved(model: Qwen2VLForConditionalGeneration, folder: Path) -> str:
    """Write a checkpoint; its folder's name."""
    model.save_pretrained(folder)
    return str(folder)


def load_tokenizer() -> PreTrainedTokenizerFast:
    """The bundled tokenizer."""
    return AutoTokenizer.from_pretrained(bundled_checkpoint("r1vl-tiny"))


def image_size(case: Case) -> dict[str, int]:
    """Pictures stay as large as they are."""
    return {"shortest_edge": 28 * 28, "longest_edge": case.side**2}


def pil_images(case: Case) -> Any:
    """Our image processor."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    return Qwen2VLImageProcessorPil(size=image_size(case), patch_size=14, temporal_patch_size=2, merge_size=2)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    side, case = sys.argv[1], Case(**json.loads(sys.argv[2]))
    measured = Meter()
    facts = {"ours": ours, "graphs": partial(ours, decoding="graphs"), "trl": trl}[side](case, measured)
    where = torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU"
    print(json.dumps({**facts, **measured.read(), "torch": torch.__version__, "threads": torch.get_num_threads(), "device": where}))
