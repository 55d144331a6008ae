"""The numbers of a model that its memory depends on, from its configuration: no weight is read or made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, Qwen2VLConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from r1vl_core.policy.shared_prefix import SUPPORTED

_QWEN2_VL = {
    "Qwen/Qwen2-VL-2B-Instruct": {"hidden_size": 1536, "intermediate_size": 8960, "num_attention_heads": 12, "num_key_value_heads": 2},
    "Qwen/Qwen2-VL-7B-Instruct": {"hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28, "num_key_value_heads": 4},
}
_VOCABULARY = {"Qwen/Qwen2-VL-2B-Instruct": (151936, True), "Qwen/Qwen2-VL-7B-Instruct": (152064, False)}
"""Rows of the embedding, and whether the head shares it. Both tables: config.json of the checkpoints at huggingface.co/Qwen; both have 28
layers and the vision tower that is the default of transformers' Qwen2VLVisionConfig (32 blocks of width 1280)."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """The numbers of a model that memory depends on: `num_layer_weights` of its largest layer, `num_outer_weights` in no layer at all.

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
    num_layer_weights: int
    num_outer_weights: int


def folder_shapes(folder: Path) -> Shapes:
    """Of a checkpoint folder, from its config.json; no weights are read. Raises ValueError when it is none of a model we know."""
    config = AutoConfig.from_pretrained(folder)
    if not hasattr(config, "vision_config"):
        raise ValueError(f"checkpoint {folder}: a {config.model_type} is not a vision-language model")
    if config.model_type not in SUPPORTED:
        raise ValueError(f"checkpoint {folder}: memory is estimated for {', '.join(SUPPORTED)}, and not for a {config.model_type}")
    return shapes_of(config)


def known_shapes(name: str) -> Shapes:
    """Of a hub checkpoint that is not at hand, from the numbers kept here. Raises ValueError for one whose numbers are not."""
    return shapes_of(known_config(name))


def known_config(name: str) -> Qwen2VLConfig:
    """The configuration of a hub checkpoint that is not at hand, as far as shapes go. Raises ValueError for one whose numbers are not kept
    here."""
    if name not in _QWEN2_VL:
        raise ValueError(f"model {name}: not at hand, and its shapes are known for {', '.join(_QWEN2_VL)} alone; download it first")
    num_rows, tied = _VOCABULARY[name]
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    text = {**_QWEN2_VL[name], "num_hidden_layers": 28, "vocab_size": num_rows, "rope_parameters": rope, "tie_word_embeddings": tied}
    vision = {"hidden_size": text["hidden_size"]}
    return Qwen2VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied)


def shapes_of(config: Any) -> Shapes:
    """Counted on a model whose weights are never made."""
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    model.tie_weights()
    text, vision = config.text_config, config.vision_config
    layers = [_count(module) for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return Shapes(
        num_weights=_count(model),
        num_vision_weights=_count(model.model.visual),
        num_layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        query=text.num_attention_heads * head_dim,
        keys=text.num_key_value_heads * head_dim,
        vocabulary=text.vocab_size,
        vision_depth=vision.depth,
        vision_width=getattr(vision, "embed_dim", None) or vision.hidden_size,
        merge=vision.spatial_merge_size**2,
        num_layer_weights=max(layers, default=0),
        num_outer_weights=_count(model) - sum(layers),
    )


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
