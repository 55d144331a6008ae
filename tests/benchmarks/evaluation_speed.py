"""Questions a second: `r1vl eval`'s answering beside one-by-one generation with transformers, in one process, at equal answers.

`python tests/benchmarks/evaluation_speed.py [NUM_QUESTIONS] [CHECKPOINT]` has the policy (r1vl-tiny, or a checkpoint's folder) answer
held-out questions of the handwriting world both ways, a part of them after the other in turn, and prints wall and CPU seconds and their
ratios: on a machine that others use too, CPU seconds are what to go by. It fails where an answer differs or the ratio is below 5.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # as tasks.launch has it: threads that wait leave the cores to others
sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from PIL import Image

from r1vl_core.data.images import open_image
from r1vl_core.evaluation.answering import Asked, answer
from r1vl_core.evaluation.benchmarks.handwriting import prompt_text
from r1vl_core.evaluation.benchmarks.tsv import read_tsv
from r1vl_core.evaluation.decoding import Decoding
from r1vl_core.handwriting.world import make_world
from r1vl_core.policy.model import Policy, load_policy

MAX_NEW_TOKENS = 144
MAX_PIXELS = 200_704
NUM_THREADS = 1  # so that CPU seconds are work, not waiting for the other thread
BAR = 5.0
PARTS = 2


def questions(num: int) -> list[Asked]:
    """Held-out questions with their pictures."""
    with tempfile.TemporaryDirectory() as folder:
        make_world(Path(folder) / "world", 1, num, 11)
        rows = list(read_tsv(Path(folder) / "world" / "heldout.tsv"))
    return [Asked(row.index, prompt_text(row), (row.image,)) for row in rows]


def decode(question: Asked) -> list[Image.Image]:
    """The question's pictures."""
    return [open_image(picture, 50_000_000) for picture in question.pictures]


def batched(policy: Policy, asked: Sequence[Asked]) -> dict[str, str]:
    """As `r1vl eval` answers."""
    batches = answer(policy, asked, Decoding(MAX_NEW_TOKENS), decode=decode)
    return {one.key: one.responses[0] for batch in batches for one in batch}


def one_by_one(policy: Policy, asked: Sequence[Asked]) -> dict[str, str]:
    """As the public toolkit answers: transformers' `generate`, a question at a time."""
    found = {}
    for question in asked:
        prompt = policy.encode(question.key, question.text, decode(question)[0])
        made = policy.model.generate(
            input_ids=prompt.input_ids[None],
            attention_mask=torch.ones_like(prompt.input_ids)[None],
            mm_token_type_ids=prompt.mm_token_type_ids[None],
            pixel_values=prompt.pixel_values,
            image_grid_thw=prompt.image_grid_thw,
            max_new_tokens=MAX_NEW_TOKENS,
            do_sample=False,
            pad_token_id=policy.pad_token_id,
            eos_token_id=list(policy.end_token_ids),
            suppress_tokens=list(policy.forbidden_token_ids),
        )
        found[question.key] = policy.decode(made[0, len(prompt) :].tolist())
    return found


def timed(
    way: Callable[[Policy, Sequence[Asked]], dict[str, str]], policy: Policy, asked: Sequence[Asked]
) -> tuple[dict[str, str], float, float]:
    """The answers, wall seconds, CPU seconds of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = way(policy, asked)
    return found, time.perf_counter() - wall, time.process_time() - cpu


def main(arguments: list[str]) -> int:
    """Measure both ways in turn; 1 where an answer differs."""
    torch.set_num_threads(NUM_THREADS)
    asked = questions(int(arguments[0]) if arguments else 64)
    policy = load_policy(arguments[1] if len(arguments) > 1 else "r1vl-tiny", prompt="plain", max_pixels=MAX_PIXELS)
    for way in (batched, one_by_one):
        way(policy, asked[:4])  # what is set up once
    seconds = {"batched": [0.0, 0.0], "one by one": [0.0, 0.0]}
    num_different = 0
    for part in range(PARTS):
        some = asked[part::PARTS]
        answers = []
        for name, way in (("batched", batched), ("one by one", one_by_one)):
            found, wall, cpu = timed(way, policy, some)
            answers.append(found)
            seconds[name] = [seconds[name][0] + wall, seconds[name][1] + cpu]
        num_different += sum(answers[0][question.key] != answers[1][question.key] for question in some)
    for name, (wall, cpu) in seconds.items():
        print(f"{name:<11} {len(asked)} questions: {wall:7.2f} s wall ({len(asked) / wall:6.1f} a second), {cpu:7.2f} s CPU")
    ratios = [slow / fast for fast, slow in zip(seconds["batched"], seconds["one by one"], strict=True)]
    print(f"ratio: {ratios[0]:.1f} wall, {ratios[1]:.1f} CPU (bar {BAR:g}); answers that differ: {num_different}")
    return int(num_different > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
