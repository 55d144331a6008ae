"""One side of `step_time.py`, in a process of its own: `python step_sides.py ours|trl CASE` prints one JSON object.

Both sides train the same seeded Qwen2-VL on the same pictures, questions, group size, lengths, temperature and beta, with the same
reward, in fp32 on the device there is.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
import warnings
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

from r1vl_core.handwriting.tiny_model import tiny_config
from r1vl_core.policy.bundled import bundled_checkpoint
from r1vl_core.prompts import render_prompt
from tests.benchmarks.step_cases import Case

LEARNING_RATE, BETA, TEMPERATURE = 1e-6, 0.04, 1.2


@dataclasses.dataclass
class Meter:
    """Wall and CPU seconds between calls of `lap`, and memory above what the process held before its first step."""

    marks: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    before: float = 0.0

    def start(self) -> None:
        """Forget the peak so far."""
        Path("/proc/self/clear_refs").write_text("5")
        self.before = memory("VmRSS")
        self.lap()

    def lap(self) -> None:
        """A step is over."""
        self.marks.append((time.perf_counter(), time.process_time()))

    def read(self) -> dict[str, Any]:
        """Seconds of each step but the first, and peak memory in MB."""
        steps = [(w2 - w1, c2 - c1) for (w1, c1), (w2, c2) in zip(self.marks[1:], self.marks[2:], strict=False)]
        wall, cpu = zip(*steps, strict=True)
        return {"wall": wall, "cpu": cpu, "peak_mb": memory("VmHWM"), "above_mb": memory("VmHWM") - self.before}


def memory(field: str) -> float:
    """A field of this process's status, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise KeyError(field)


def make_model(tokenizer: PreTrainedTokenizerFast, case: Case) -> Qwen2VLForConditionalGeneration:
    """The same random weights on both sides."""
    config = tiny_config(tokenizer)
    text, vision = config.text_config, config.vision_config
    text.hidden_size, text.intermediate_size, text.num_attention_heads, text.num_key_value_heads = 128, 384, 4, 4
    vision.embed_dim, vision.hidden_size = 80, 128
    text.vocab_size = max(case.vocab_size, len(tokenizer))
    torch.manual_seed(0)
    model = Qwen2VLForConditionalGeneration._from_config(config, attn_implementation="sdpa")
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


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


def ours(case: Case, meter: Meter) -> dict[str, Any]:
    """Our side."""
    from r1vl_core.config import StepGRPO
    from r1vl_core.policy.model import make_policy
    from r1vl_core.reasoning.rewards import Reward
    from r1vl_core.training.stepgrpo import train

    tokenizer = load_tokenizer()
    policy, reference = (
        make_policy(make_model(tokenizer, case), tokenizer, pil_images(case), prompt="plain", max_pixels=case.side**2) for _ in range(2)
    )
    asked = questions(case)
    settings = StepGRPO(
        num_steps=case.num_steps + 1,
        questions_per_step=case.num_questions,
        group_size=case.group_size,
        temperature=TEMPERATURE,
        max_new_tokens=case.max_new_tokens,
        learning_rate=LEARNING_RATE,
        beta=BETA,
    )

    def judge(_: int, text: str) -> Reward:
        return Reward(reward_of(text), 0.0, 0.0, (), (), "wrong", "", None, ())

    lengths = []
    reports = train(
        policy, reference, lambda n: policy.encode(str(n), *asked[n]), judge, num_questions=len(asked), settings=settings, seed=0
    )
    meter.start()
    for report in reports:
        meter.lap()
        lengths.append(report.metrics["mean_tokens"])
    prompt = len(policy.encode("0", *asked[0]))
    return {"prompt_tokens": prompt, "mean_tokens": float(np.mean(lengths)), "parameters": policy.model.num_parameters()}


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

    return GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=case.num_questions * case.group_size,
        num_generations=case.group_size,
        max_completion_length=case.max_new_tokens,
        max_steps=case.num_steps + 1,
        learning_rate=LEARNING_RATE,
        beta=BETA,
        temperature=TEMPERATURE,
        loss_type="grpo",
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=not torch.cuda.is_available(),
        report_to="none",
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
    )


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
    facts = {"ours": ours, "trl": trl}[side](case, measured)
    print(json.dumps({**facts, **measured.read(), "torch": torch.__version__, "threads": torch.get_num_threads()}))
