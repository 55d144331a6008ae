"""The child process of a stage that needs the policy: `python -m tasks.trainer ORDER.json`, under accelerate or torchrun.

The order says which stage, with which settings, from which files and into which folder. SIGTERM finishes the current step, saves a
checkpoint and exits with 143. Exit status 2 with a line "error: …" is something the user got wrong, 1 with a line "failed: …" something
else that people can cure (a full disk); anything else ends with its traceback.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch.distributed.elastic.multiprocessing.errors import record

from r1vl_core.config import Preset, Runtime
from r1vl_core.data import database
from r1vl_core.data.images import find_image, load_image
from r1vl_core.policy.model import Policy, Prompt, choose_device, load_policy
from r1vl_core.policy.precision import is_bf16
from r1vl_core.policy.recompute import recompute_activations
from r1vl_core.policy.sharding import shard
from r1vl_core.records import Question, asked
from r1vl_core.training.export import export
from r1vl_core.training.groups import RewardFailed
from r1vl_core.training.memory import token_budget
from r1vl_core.training.processes import any_process, leave
from tasks.launch import FAILURE, MISTAKE, WARNING
from tasks.supervise import ASKED

ORDERS: dict[str, str] = {name: f"tasks.{name}" for name in ("warmup", "difficulty", "stepgrpo", "evaluate", "benchmark_answers")}
"""Which module's `compute(Work)` carries out an order."""

FAILURES = (OSError, FloatingPointError, torch.OutOfMemoryError, RewardFailed)
"""What says itself what went wrong, in words for those who run a training."""


class Work:
    """What a computation in the child has at hand. `order` holds the stage's own paths."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.preset = Preset.model_validate(order["preset"])
        self.runtime = Runtime.model_validate(order["runtime"])
        self.out = Path(order["out"])
        self.work_dir = Path(order["work"])
        self.device = choose_device(self.runtime.device)
        self.accelerator = Accelerator(cpu=self.device == "cpu")
        if self.device == "cpu":  # a resumed run is equal to the bit; on a GPU the order of atomic sums is left to the hardware, for speed
            torch.use_deterministic_algorithms(True)
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        self._stopping = False

    @property
    def token_budget(self) -> int:
        """Tokens in one micro-batch."""
        return self.runtime.token_budget or token_budget(self.device)

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return bool(self.accelerator.is_main_process)

    def should_stop(self) -> bool:
        """Whether SIGTERM came; asked by the training loop after every step."""
        return self._stopping

    def stop(self, *_: object) -> None:
        """Ask the training loop to save and return."""
        self._stopping = True

    def policy(self, folder: str) -> Policy:
        """The checkpoint in `folder`, fp32 weights, on this process's device; in shards where the launcher's configuration says FSDP."""
        preset, device = self.preset, str(self.accelerator.device)
        sharded = _wants_shards()
        if sharded and self.runtime.decode == "graphs":
            raise ValueError('decode "graphs" records a model that a process holds whole, and here it is in shards; use decode "eager"')
        policy = load_policy(
            folder,
            prompt=preset.prompt,
            max_pixels=preset.max_pixels,
            device="cpu" if sharded else device,  # the whole of it may be more than the device holds
            precision=self.runtime.precision,
            decoding=self.runtime.decode,
        )
        if sharded:
            shard(policy.model, self.accelerator.device, self.accelerator.num_processes, gather_bf16=is_bf16(policy.precision, self.device))
        return policy

    def trainee(self, folder: str) -> Policy:
        """The same, to be trained: with what the runtime says about memory."""
        policy = self.policy(folder)
        if self.runtime.gradient_checkpointing:
            recompute_activations(policy)
        return policy

    def export(self, policy: Policy, name: str) -> None:
        """Write the trained policy to the stage's output, unless training was asked to stop."""
        if not any_process(self._stopping, self.accelerator):
            export(policy, self.out / name, writes=self.is_first)

    def questions(self) -> list[Question]:
        """The questions of the database the order names."""
        return database.read_questions(Path(self.order["questions"]))

    def encode(self, policy: Policy, question: Question) -> Prompt:
        """A question's prompt; its picture is read now. Raises ValueError naming the question for a picture that cannot be."""
        root = Path(self.order["image_roots"][question.source])
        try:
            image = load_image(find_image(root, question.image), self.preset.curate.max_image_pixels)
        except ValueError as error:
            raise ValueError(f"question {question.id}: its picture {root / question.image}: {error}") from None
        return policy.encode(question.id, asked(question.text, question.choices), image)


class _Marked(logging.Formatter):
    """Says what a warning of ours is; those of libraries concern developers."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line."""
        is_ours = record.name.partition(".")[0] in ("r1vl_core", "tasks")
        return (WARNING if is_ours and record.levelno >= logging.WARNING else "") + super().format(record)


def log_to_stdout() -> None:
    """Say on the standard output, which the pipeline reads, what is logged from now on; warnings of ours begin with `WARNING`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Marked("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


@record  # torchrun's summary then holds the error of the process that failed first, whatever the others say while they go down with it
def main(arguments: list[str]) -> int:
    """Carry out the order in the named file; the exit status."""
    log_to_stdout()
    order = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    try:
        work = Work(order)
    except ValueError as error:
        print(f"{MISTAKE}{error}", flush=True)
        return 2
    signal.signal(signal.SIGTERM, work.stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches us as the supervisor's SIGTERM
    try:
        with _one_writer(work):
            _computation(order["stage"])(work)
    except ValueError as error:
        return _said(MISTAKE, str(error), 2)
    except FAILURES as error:
        return _said(FAILURE, in_words(error), 1)
    return ASKED if work.should_stop() else 0


def in_words(error: BaseException) -> str:
    """What went wrong and what to do about it.

    >>> in_words(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")).partition(":")[0]
    'out of memory for what is held all the time (weights, gradients, optimiser)'
    """
    if not isinstance(error, torch.OutOfMemoryError):
        return str(error)
    # what is computed at once has been halved down to a single path by then, or was not under way
    return (
        f"out of memory for what is held all the time (weights, gradients, optimiser): {str(error).partition(chr(10))[0]}; train adapters "
        "(warmup.lora, stepgrpo.lora), shard over several GPUs (infra/accelerate/fsdp2.yaml) or free the device of other programs; "
        "`r1vl plan --memory` says what it takes"
    )


def _said(kind: str, words: str, status: int) -> int:
    # What any process found wrong must be heard: one may be short of memory where the first is not.
    print(f"{kind}{' '.join(words.split())}", file=sys.__stdout__, flush=True)
    return status


def _computation(stage: str) -> Callable[[Work], None]:
    from importlib import import_module

    return import_module(ORDERS[stage]).compute  # type: ignore[no-any-return]


def _wants_shards() -> bool:
    """Whether accelerate was started with an FSDP configuration (infra/accelerate/fsdp2.yaml)."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


@contextmanager
def _one_writer(work: Work) -> Iterator[None]:
    # Only the first process speaks; the others' warnings would come once a rank.
    if not work.is_first:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    yield
    if work.accelerator.num_processes > 1:
        work.accelerator.wait_for_everyone()
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    leave(main(sys.argv[1:]) or 0)
