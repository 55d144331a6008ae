"""Every dial on one page: a frozen model per stage, `Preset` (identity) and `Runtime` (never identity).

A preset decides *what* is computed; it enters the recipes of the store. A runtime decides *where* and *how fast*; it never does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from r1vl_core.config.group import Dials
from r1vl_core.config.key_steps import KeySteps
from r1vl_core.config.names import BUNDLED_MODEL, Decode, Hardening, Precision, Schedule
from r1vl_core.prompts import prompt_names


class World(Dials):
    """The bundled handwriting world, made on the spot (used when a preset names no sources of its own)."""

    num_questions: int = Field(3000, ge=1)
    """Clean training questions; the planted defects come on top."""
    num_heldout: int = Field(600, ge=1)
    """Held-out questions, on digit images never seen in training."""
    seed: int = Field(0, ge=0)
    """Decides boards, questions and defects."""


class Source(Dials):
    """One training file with its image folder."""

    name: str = Field(min_length=1)
    """Short name; stored with every question that came from here."""
    path: Path
    """The file: Mulberry-SFT / ShareGPT or R1-VL-10K as JSON, JSON lines or Parquet; or an artifact's folder with a database of ours."""
    images: Path
    """Folder that the records' image paths are relative to."""
    licence: str = ""
    """Licence note, kept with the artifact."""
    format: Literal["auto", "json", "jsonl", "parquet", "duckdb"] = "auto"
    """What the file is: one JSON array, JSON lines, Parquet, a database of ours; auto goes by the name and the first bytes."""
    weight: float = Field(1.0, gt=0)
    """How often its questions are drawn, against their share of all, where a stage trains on a subset (max_questions)."""


class Curate(Dials):
    """Raw records to validated questions."""

    later = frozenset({"eval_questions", "language", "near_duplicates", "near_picture_bits", "contaminated_by", "contamination_data"})

    min_image_side: int = Field(28, ge=1)
    """Pixels; a picture with a shorter side is rejected."""
    max_image_pixels: int = Field(50_000_000, ge=1)
    """Pixels; a larger picture is rejected before it is decoded (decompression bombs)."""
    max_prompt_tokens: int = Field(2048, ge=1)
    """Tokens of image and question together; a longer prompt is rejected, never cut."""
    max_path_tokens: int = Field(1024, ge=1)
    """Tokens of a reference path; a longer one is rejected, never cut."""
    contamination: bool = True
    """Reject training questions whose picture and question also stand in the held-out file."""
    eval_questions: int = Field(0, ge=0)
    """Validation questions set aside for evaluation during StepGRPO: neither warm-up nor StepGRPO trains on them."""
    language: str = Field("", pattern="^([a-z]{2,3})?$")
    """ISO 639 code ("en"): a record whose question or path is surely in another language is rejected; empty means any language."""
    near_duplicates: float = Field(0.8, ge=0, le=1)
    """Texts that share this much of their five-letter pieces (Jaccard) are nearly the same; 0 looks for exact duplicates only."""
    near_picture_bits: int = Field(4, ge=0, le=16)
    """Bits, of 64, in which the perceptual hashes of nearly the same pictures differ at most."""
    contaminated_by: Literal["both", "either"] = "both"
    """A record is contaminated when a held-out row has nearly its question and picture; either: or its picture alone, or alone its
    question, if that has 13 words or more."""
    contamination_data: tuple[Path, ...] = ()
    """Evaluation files (VLMEvalKit TSV) that must stay unseen, besides evaluate.data."""


class Rewards(Dials):
    """What earns a reward, in training and in the held-out means alike; both parts together are at most 2 + stepgrpo.alpha."""

    hardening: Hardening = "none"
    """none: the paper's definition. strict: a key step must be asserted, in order, in a step of plausible size, and a path that lists,
    copies, repeats or pads has no StepRVR (r1vl_core/reasoning/hardening.py); `r1vl audit-rewards` measures what each can be fooled by."""


class Lora(Dials):
    """Low-rank adapters on the language model, trained in place of all weights (arXiv 2106.09685); needs the extra `r1vl[lora]`."""

    rank: int = Field(16, ge=1)
    """Rank r of an adapter."""
    alpha: float = Field(32.0, gt=0)
    """An adapter's output counts alpha / rank times."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of an adapter's inputs dropped while training; not for StepGRPO, whose log-probabilities must be those sampled from."""
    target_modules: tuple[str, ...] = Field(("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"), min_length=1)
    """Linear layers of the language model that get an adapter, by their last name."""


class Warmup(Dials):
    """Supervised fine-tuning on the reference paths; the loss covers the path only."""

    later = frozenset({"schedule", "lora"})

    num_epochs: float = Field(2.0, gt=0)
    """Passes over the curated questions."""
    max_questions: int = Field(0, ge=0)
    """Train on a seeded subset of this many questions; 0 means all."""
    batch_size: int = Field(128, ge=1)
    """Questions an optimiser step."""
    learning_rate: float = Field(1e-5, gt=0)
    """Peak learning rate."""
    schedule: Schedule = "cosine"
    """How the rate goes from its peak: cosine or linear to 0, or constant."""
    warmup_ratio: float = Field(0.03, ge=0, lt=1)
    """Share of the steps over which the rate rises from 0."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW weight decay."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradient norm above which the gradient is scaled down."""
    freeze_vision: bool = False
    """Keep the vision tower and its projector as they are."""
    lora: Lora | None = None
    """Train adapters in place of all weights; the artifact holds the merged policy."""
    save_every: int = Field(50, ge=1)
    """Optimiser steps between checkpoints."""


class Difficulty(Dials):
    """Which questions StepGRPO learns from: those that the warm-up policy answers right now and then, not always and not never."""

    num_samples: int = Field(8, ge=2)
    """M: paths that the warm-up policy is sampled for on each question, as StepGRPO samples them (temperature, max_new_tokens)."""
    above: float = Field(0.0, ge=0, lt=1)
    """Share of right answers that a question must have more than."""
    below: float = Field(1.0, gt=0, le=1)
    """Share of right answers that a question must have less than."""

    @model_validator(mode="after")
    def _leaves_room(self) -> Difficulty:
        if self.above >= self.below:
            raise ValueError(f"above is {self.above:g} and below {self.below:g}: no pass rate lies between them; raise below")
        return self


class StepGRPO(Dials):
    """Step-wise group relative policy optimisation (arXiv 2503.12937)."""

    later = frozenset(
        {"probe_every", "eval_every", "keep", "max_kl", "min_reward", "stop_window", "reward_limit_s"}
        | {"schedule", "warmup_ratio", "freeze_vision", "lora", "kl"}
    )
    num_steps: int = Field(40, ge=1)
    """Training steps: each samples groups and makes num_updates updates from them."""
    questions_per_step: int = Field(16, ge=1)
    """P: questions a step, over all processes together."""
    group_size: int = Field(4, ge=2)
    """M: reasoning paths sampled for each question."""
    temperature: float = Field(1.2, gt=0)
    """Sampling temperature; log-probabilities are scored at the same one."""
    max_new_tokens: int = Field(1024, ge=1)
    """Tokens of one sampled path, at most; a path that never ends is truncated and counted."""
    mask_truncated: bool = False
    """Leave truncated paths out of the loss; they still count in its mean, so that the others never weigh more."""
    reward: Literal["outcome", "step_rar", "step_rvr", "both"] = "both"
    """What a path is paid: outcome, 1 for a right answer; step_rar or step_rvr alone; both, their sum (the paper)."""
    advantage: Literal["grpo", "dr_grpo", "rloo"] = "grpo"
    """Against its group: grpo, mean and standard deviation (the paper); dr_grpo, the mean alone; rloo, the mean of the others."""
    credit: Literal["path", "step"] = "path"
    """Who shares in key steps: every token of the path (the paper), or the step that reached them (r1vl_core/training/credit.py)."""
    loss_mean: Literal["path", "token", "constant"] = "path"
    """Over a path's tokens, then over paths (the paper); over all tokens; or over paths, sums divided by max_new_tokens (Dr. GRPO)."""
    num_updates: int = Field(1, ge=1)
    """Updates from each step's paths (the paper: 1); from the second on, the ratio to the policy before the first is clipped."""
    clip_low: float = Field(0.2, ge=0, lt=1)
    """Ratios below 1 - clip_low have no gradient where the advantage is negative; used with num_updates above 1."""
    clip_high: float = Field(0.2, ge=0)
    """Ratios above 1 + clip_high have no gradient where the advantage is positive; used with num_updates above 1."""
    refill_rounds: int = Field(0, ge=0)
    """Times, at most, that a step samples other questions in the place of those whose paths teach nothing (all advantages 0)."""
    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate."""
    schedule: Schedule = "linear"
    """How the rate goes from its peak: cosine or linear to 0, or constant."""
    warmup_ratio: float = Field(0.0, ge=0, lt=1)
    """Share of the steps over which the rate rises from 0."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW weight decay."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradient norm above which the gradient is scaled down."""
    freeze_vision: bool = False
    """Keep the vision tower and its projector as they are."""
    lora: Lora | None = None
    """Train adapters in place of all weights; the reference is the policy without them, the artifact holds the merged policy."""
    beta: float = Field(0.04, ge=0)
    """Weight of the KL penalty to the warm-up policy; 0 means no reference at all."""
    kl: Literal["k3", "weighted_k3"] = "k3"
    """The penalty's estimator: k3 (the paper), or weighted by the ratio to the policy that sampled (TRL since 1.0, arXiv 2512.02556)."""
    alpha: float = Field(0.1, ge=0)
    """Weight of the matched key steps in StepRAR (paper, equation 2)."""
    forward: Literal["shared", "dense"] = "shared"
    """Training forward: one row a question with the prompt shared by its group, or one padded row a path (the oracle)."""
    save_every: int = Field(10, ge=1)
    """Training steps between checkpoints."""
    keep_checkpoints: int = Field(2, ge=1)
    """Checkpoints kept for resuming."""
    probe_every: int = Field(10, ge=0)
    """Steps between looks at whether the policy sees its pictures (metric image_gain); 0 means never. What is trained does not change."""
    eval_every: int = Field(0, ge=0)
    """Steps between evaluations on the questions that curate.eval_questions sets aside (metric validation_accuracy); 0 means never."""
    keep: Literal["last", "best"] = "last"
    """Which policy is handed on: that of the last step, or the one with the best validation accuracy (the earliest of equals)."""
    max_kl: float = Field(0.0, ge=0)
    """Nats; a mean KL above it over stop_window steps ends training, and the last good or best policy is handed on. 0 means no limit."""
    min_reward: float = Field(0.0, ge=0)
    """A mean reward below it over stop_window steps ends training in the same way. 0 means no limit."""
    stop_window: int = Field(5, ge=1)
    """Steps that max_kl and min_reward are held against, as a mean."""
    reward_limit_s: float = Field(60.0, gt=0)
    """Seconds one reward may take; beyond it the run ends and names the question."""

    @model_validator(mode="after")
    def _methods_fit(self) -> StepGRPO:
        if self.credit == "step" and self.reward not in ("step_rar", "both"):
            raise ValueError(f'credit "step" shares out key steps, which reward "{self.reward}" does not pay; use "step_rar" or "both"')
        if self.advantage == "dr_grpo" and self.loss_mean != "constant":
            raise ValueError(f'advantage "dr_grpo" goes with loss_mean "constant", not "{self.loss_mean}"; set it, or use "rloo"')
        if self.keep == "best" and not self.eval_every:
            raise ValueError('keep "best" goes by validation accuracy; set eval_every, or use "last"')
        if self.min_reward > 2 + self.alpha:  # an answer, its key steps, its form: more cannot be earned
            raise ValueError(f"min_reward {self.min_reward:g} would end every run: a path earns {2 + self.alpha:g} at most; lower it")
        if self.max_kl and not self.beta:
            raise ValueError(f"max_kl {self.max_kl} needs a reference to measure against, and beta is 0; raise beta or set max_kl to 0")
        if self.lora and self.lora.dropout:
            raise ValueError(f"lora.dropout {self.lora.dropout} would train other log-probabilities than were sampled from; use 0")
        return self


class Evaluate(Dials):
    """Greedy decoding of both policies on the held-out questions."""

    max_new_tokens: int = Field(1024, ge=1)
    """Tokens of one response, at most."""
    data: Path | None = None
    """Held-out file (VLMEvalKit TSV); None means the world's own."""
    limit: int = Field(0, ge=0)
    """Evaluate only the first this many rows (marked partial); 0 means all."""


class ReportPage(Dials):
    """The HTML report."""

    num_groups: int = Field(24, ge=1)
    """Sampled groups shown in the browser of rollouts."""
    num_responses: int = Field(60, ge=1)
    """Held-out responses shown for each policy."""


class Preset(Dials):
    """One pipeline, whole: what it learns from, how, and what it is measured on."""

    name: str = Field(min_length=1)
    """The preset's name; recorded with every run, part of the report's recipe alone."""
    description: str = ""
    """What it should reach and how long it takes; part of the report's recipe alone."""
    model: str = Field(BUNDLED_MODEL, min_length=1)
    """Start checkpoint: the bundled `r1vl-tiny`, a folder, or a hub name."""
    prompt: str = "reasoning"
    """Prompt template in `r1vl_core/prompts`, by name."""
    max_pixels: int = Field(400_000, ge=28 * 28)
    """Pixels; a larger picture is scaled down before the policy sees it."""
    seed: int = Field(0, ge=0)
    """Decides the order of the data, the sampling and the initial state of every random generator."""
    world: World | None = None
    """The bundled world, or none when `sources` are given."""
    sources: tuple[Source, ...] = ()
    """The user's own training files."""
    curate: Curate = Curate()
    key_steps: KeySteps = KeySteps()
    rewards: Rewards = Rewards()
    warmup: Warmup = Warmup()
    difficulty: Difficulty | None = None
    """Restrict StepGRPO to questions of middling difficulty, measured first; none: it learns from all that have key steps."""
    stepgrpo: StepGRPO = StepGRPO()
    evaluate: Evaluate = Evaluate()
    report: ReportPage = ReportPage()

    @field_validator("prompt")
    @classmethod
    def _prompt_exists(cls, name: str) -> str:
        if name not in prompt_names():
            raise ValueError(f"no prompt template has this name; there are {', '.join(prompt_names())}")
        return name

    @model_validator(mode="after")
    def _has_data(self) -> Preset:
        if (self.world is None) == (not self.sources):
            raise ValueError("a preset needs either [world] or at least one [[sources]], and not both")
        if self.world is None and self.evaluate.data is None:
            raise ValueError("a preset with its own sources needs evaluate.data, the held-out TSV file")
        names = [source.name for source in self.sources]
        if len(set(names)) != len(names):
            raise ValueError(f"two sources share a name: {', '.join(names)}; give each its own")
        if self.stepgrpo.eval_every and not self.curate.eval_questions:
            raise ValueError(f"stepgrpo.eval_every is {self.stepgrpo.eval_every} but no question is set aside; set curate.eval_questions")
        return self


class Runtime(Dials):
    """Where and how fast; never part of a recipe."""

    root: Path = Path(".r1vl")
    """Where all state lives; can be deleted."""
    num_processes: int = Field(1, ge=1)
    """Training processes started by accelerate on this machine."""
    num_workers: int = Field(2, ge=1)
    """Processes of this machine that read and check records and images."""
    engine: Literal["processes", "ray"] = "processes"
    """Who works on curation's and key steps' shards: processes of this machine, or Ray (extra `r1vl[ray]`). The result is the same."""
    ray_address: str = ""
    """The Ray cluster, as ray://HOST:10001 or HOST:6379; empty: one of num_workers processes on this machine, for the time of a stage."""
    token_budget: int = Field(0, ge=0)
    """Tokens in one micro-batch of a training forward; lower it when memory is short (the loss does not change).
    0: 2,048 on a CPU, where its caches decide, 16,384 on a GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of training and evaluation."""
    precision: Precision = "auto"
    """Arithmetic of every forward, over fp32 weights: bf16 by autocast, or fp32. auto: bf16 on a GPU that has it, else fp32. Like the
    device it decides how finely a result is rounded, not which it is."""
    decode: Decode = "eager"
    """How responses are sampled: eager, kernel by kernel; graphs, each step a CUDA graph, for GPUs, where launching kernels is what takes
    the time. What is drawn is the same but for rounding. Not the default: it has not been measured on a GPU yet."""
    gradient_checkpointing: bool = False
    """Compute each layer's inside again in the backward pass instead of keeping it: less memory, more time, the same result."""
    accelerate_config: Path | None = None
    """An accelerate configuration file for several GPUs or machines."""
    launcher: Literal["accelerate", "torchrun"] = "accelerate"
    """Program that starts the training processes."""
