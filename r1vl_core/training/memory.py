"""How much memory training takes, from a model's configuration alone: what `r1vl plan --memory` prints.

An estimate for the largest micro-batch a preset allows, by what the code keeps and for how long: fp32 weights, gradients and
AdamW states, the reference, bf16 copies under autocast on a GPU, what each layer saves for its backward pass, tiles of logits, and
keys and values while sampling. All weights trained and held on one device, activations kept: LoRA, shards and gradient checkpointing take
less, and are not counted. A test holds it to measured peaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, Qwen2VLConfig

from r1vl_core.config import Preset
from r1vl_core.policy.logprobs import TILE_ELEMENTS

CACHE_TOKENS = 2**18
"""Tokens held in the cache at once, at most (`policy.rollout.generate`)."""
TEXT_TOKENS = 256
"""Tokens of a question beside its picture, an assumption."""

_FP32 = 4
_TILES = 4
"""Tiles of logits alive at once: scaled, masked, their exponentials, and the gradient."""

_QWEN2_VL = {
    "Qwen/Qwen2-VL-2B-Instruct": {"hidden_size": 1536, "intermediate_size": 8960, "num_attention_heads": 12, "num_key_value_heads": 2},
    "Qwen/Qwen2-VL-7B-Instruct": {"hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28, "num_key_value_heads": 4},
}
_VOCABULARY = {"Qwen/Qwen2-VL-2B-Instruct": (151936, True), "Qwen/Qwen2-VL-7B-Instruct": (152064, False)}
"""Rows of the embedding, and whether the head shares it. Both tables: config.json of the checkpoints at huggingface.co/Qwen; both have 28
layers and the vision tower that is the default of transformers' Qwen2VLVisionConfig (32 blocks of width 1280)."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """The numbers of a model that memory depends on.

    >>> known_shapes("Qwen/Qwen2-VL-2B-Instruct").num_weights
    2208985600
    """

    num_weights: int
    num_vision_weights: int
    num_layers: int
    hidden: int
    intermediate: int
    query: int
    keys: int
    vocabulary: int
    vision_depth: int
    vision_width: int
    merge: int


@dataclass(frozen=True, slots=True)
class Batch:
    """A micro-batch: `num_prompts` of `prompt` tokens each, `image` of them its picture's; `num_paths` of `path` tokens in all.

    `shared` says that a prompt stands once for its paths, else once for each.

    >>> Batch(num_prompts=2, prompt=100, image=64, num_paths=8, path=50, shared=True).num_tokens
    600
    """

    num_prompts: int
    prompt: int
    image: int
    num_paths: int
    path: int
    shared: bool

    @property
    def num_tokens(self) -> int:
        """Tokens of all rows."""
        return self.prompt * (self.num_prompts if self.shared else self.num_paths) + self.path * self.num_paths


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes by part while a policy is updated and while paths are sampled (empty in warm-up), and the host's beside a GPU.

    >>> Estimate({"weights": 4, "gradients": 4}, {"weights": 4, "keys and values": 2}, 0).peak
    8
    """

    update: Mapping[str, int]
    rollout: Mapping[str, int]
    host: int

    @property
    def peak(self) -> int:
        """The larger of the two."""
        return max(sum(self.update.values()), sum(self.rollout.values()))


def token_budget(device: str) -> int:
    """Tokens in one micro-batch, unless the runtime says otherwise: on a CPU its caches decide."""
    return 2048 if device == "cpu" else 16384


def folder_shapes(folder: Path) -> Shapes:
    """Of a checkpoint folder, from its config.json; no weights are read. Raises ValueError when it is none of a vision-language model."""
    config = AutoConfig.from_pretrained(folder)
    if not hasattr(config, "vision_config"):
        raise ValueError(f"checkpoint {folder}: a {config.model_type} is not a vision-language model")
    return shapes_of(config)


def known_shapes(name: str) -> Shapes:
    """Of a hub checkpoint that is not at hand, from the numbers kept here. Raises ValueError for one whose numbers are not."""
    if name not in _QWEN2_VL:
        raise ValueError(f"model {name}: not at hand, and its shapes are known for {', '.join(_QWEN2_VL)} alone; download it first")
    num_rows, tied = _VOCABULARY[name]
    text = {**_QWEN2_VL[name], "num_hidden_layers": 28, "vocab_size": num_rows, "tie_word_embeddings": tied}
    vision = {"hidden_size": text["hidden_size"]}
    return shapes_of(Qwen2VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied))


def shapes_of(config: Any) -> Shapes:
    """Counted on a model whose weights are never made."""
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    model.tie_weights()
    text, vision = config.text_config, config.vision_config
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return Shapes(
        num_weights=sum(parameter.numel() for parameter in model.parameters()),
        num_vision_weights=sum(parameter.numel() for parameter in model.model.visual.parameters()),
        num_layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        query=text.num_attention_heads * head_dim,
        keys=text.num_key_value_heads * head_dim,
        vocabulary=text.vocab_size,
        vision_depth=vision.depth,
        vision_width=getattr(vision, "embed_dim", None) or vision.hidden_size,
        merge=vision.spatial_merge_size**2,
    )


def estimate_warmup(shapes: Shapes, preset: Preset, device: str, token_budget: int) -> Estimate:
    """The largest micro-batch of warm-up: rows of a prompt with the longest path."""
    image, prompt = _prompt(shapes, preset)
    path, settings = preset.curate.max_path_tokens, preset.warmup
    rows = max(1, min(settings.batch_size, token_budget // (prompt + path)))
    frozen = settings.freeze_vision
    update = update_parts(shapes, Batch(rows, prompt, image, rows, path, shared=False), device, frozen_vision=frozen, reference=False)
    return Estimate(update, {}, _host(shapes, device))


def estimate_stepgrpo(shapes: Shapes, preset: Preset, device: str, token_budget: int) -> Estimate:
    """The largest micro-batch of StepGRPO, every path as long as it may be, and the rollouts of a step."""
    image, prompt = _prompt(shapes, preset)
    settings = preset.stepgrpo
    path, size, questions = settings.max_new_tokens, settings.group_size, settings.questions_per_step
    whole = min(questions, token_budget // (prompt + size * path))
    left = (token_budget - whole * (prompt + size * path) - prompt) // path
    more = max(0, min(size, max(left, int(whole == 0)))) if whole < questions else 0  # a part of one more group; a single path is never cut
    batch = Batch(whole + (more > 0), prompt, image, whole * size + more, path, shared=True)
    update = update_parts(shapes, batch, device, frozen_vision=settings.freeze_vision, reference=settings.beta > 0)
    sampled = Batch(questions, prompt, image, questions * size, path, shared=True)
    return Estimate(update, rollout_parts(shapes, sampled, device, reference=settings.beta > 0), _host(shapes, device))


def update_parts(shapes: Shapes, batch: Batch, device: str, *, frozen_vision: bool, reference: bool) -> dict[str, int]:
    """Bytes by part at the peak of an update."""
    num_trained = shapes.num_weights - (shapes.num_vision_weights if frozen_vision else 0)
    return {
        **_standing(shapes, device, num_trained, reference=reference),
        "gradients": _FP32 * num_trained,
        "activations": activation_bytes(shapes, batch, _compute_bytes(device), frozen_vision=frozen_vision),
        "logits": _TILES * _FP32 * min(TILE_ELEMENTS, batch.num_paths * batch.path * shapes.vocabulary),
    }


def rollout_parts(shapes: Shapes, batch: Batch, device: str, *, reference: bool) -> dict[str, int]:
    """Bytes by part while paths are sampled. Rotary positions leave keys in fp32."""
    compute = _compute_bytes(device)
    cached = min(CACHE_TOKENS, batch.num_tokens)
    return {
        **_standing(shapes, device, shapes.num_weights, reference=reference),
        "keys and values": cached * shapes.num_layers * shapes.keys * (_FP32 + compute),
        "reading prompts": batch.num_prompts * batch.prompt * (2 * shapes.intermediate + 6 * shapes.hidden) * _FP32,
        "logits": 5 * _FP32 * min(batch.num_paths, max(1, CACHE_TOKENS // batch.path)) * shapes.vocabulary,
    }


def activation_bytes(shapes: Shapes, batch: Batch, compute: int, *, frozen_vision: bool) -> int:
    """What the forward of a micro-batch keeps for its backward pass, and what that needs at once; `compute` is bytes a number.

    A layer keeps, for each token: in fp32 the input of both norms and what they made of it (4 hidden); the inputs of its
    projections (2 hidden), queries, keys, values, attention's output twice, and four of the MLP's width. A packed completion
    also keeps the keys and values it saw, one for each query head.
    """
    hidden, query, keys = shapes.hidden, shapes.query, shapes.keys
    per_token = 4 * hidden * _FP32 + (2 * hidden + 3 * query + 2 * keys + 4 * shapes.intermediate) * compute
    seen = batch.num_paths * (batch.prompt + batch.path) * 2 * query * compute if batch.shared else 0
    language = shapes.num_layers * (batch.num_tokens * per_token + seen)
    at_once = batch.num_tokens * 3 * shapes.intermediate * compute
    num_patches = batch.image * shapes.merge * (batch.num_prompts if batch.shared else batch.num_paths)
    vision = 0 if frozen_vision else num_patches * shapes.vision_depth * shapes.vision_width * (2 * _FP32 + 19 * compute)
    return language + at_once + vision


def _standing(shapes: Shapes, device: str, num_trained: int, *, reference: bool) -> dict[str, int]:
    """What is there in every phase."""
    return {
        "weights": _FP32 * shapes.num_weights,
        "AdamW": 2 * _FP32 * num_trained,
        "reference": _FP32 * shapes.num_weights if reference else 0,
        "bf16 copies": 0 if device == "cpu" else 2 * shapes.num_weights,
    }


def _prompt(shapes: Shapes, preset: Preset) -> tuple[int, int]:
    """Tokens of the largest picture, and of a prompt with it."""
    image = preset.max_pixels // (14 * 14) // shapes.merge
    return image, min(preset.curate.max_prompt_tokens, image + TEXT_TOKENS)


def _compute_bytes(device: str) -> int:
    return _FP32 if device == "cpu" else 2


def _host(shapes: Shapes, device: str) -> int:
    """Beside a GPU: a checkpoint read back passes through the host whole, weights and optimiser."""
    return 0 if device == "cpu" else 3 * _FP32 * shapes.num_weights
