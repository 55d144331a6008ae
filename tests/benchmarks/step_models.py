"""The models of the step benchmarks: shapes with random weights, the same for both sides. Nothing is downloaded."""

from __future__ import annotations

import torch
from transformers import PreTrainedTokenizerFast, Qwen2VLConfig, Qwen2VLForConditionalGeneration

from r1vl_core.handwriting.tiny_model import tiny_config
from r1vl_core.training.shapes import known_config
from tests.benchmarks.step_cases import Case

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
REAL = {"2b": "Qwen/Qwen2-VL-2B-Instruct", "7b": "Qwen/Qwen2-VL-7B-Instruct"}


def make_model(tokenizer: PreTrainedTokenizerFast, case: Case) -> Qwen2VLForConditionalGeneration:
    """A seeded model of the case's shape in fp32, made on the device; both sides get the same weights."""
    config = real_config(tokenizer, REAL[case.shape]) if case.shape in REAL else small_config(tokenizer, case)
    torch.manual_seed(0)
    with torch.device(DEVICE):
        model = Qwen2VLForConditionalGeneration._from_config(config, attn_implementation="sdpa", dtype=torch.float32)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def small_config(tokenizer: PreTrainedTokenizerFast, case: Case) -> Qwen2VLConfig:
    """1.3 million parameters; the shape "tiny" has half the layers."""
    config = tiny_config(tokenizer)
    text, vision = config.text_config, config.vision_config
    text.hidden_size, text.intermediate_size, text.num_attention_heads, text.num_key_value_heads = 128, 384, 4, 4
    vision.embed_dim, vision.hidden_size = 80, 128
    text.vocab_size = max(case.vocab_size, len(tokenizer))
    if case.shape == "tiny":
        text.num_hidden_layers, vision.depth = 2, 1
        text.layer_types = text.layer_types[:2]
    return config


def real_config(tokenizer: PreTrainedTokenizerFast, name: str) -> Qwen2VLConfig:
    """The shape of a published checkpoint with the ids of the bundled tokenizer."""
    config, ids = known_config(name), tiny_config(tokenizer)
    for field in ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"):
        setattr(config, field, getattr(ids, field))
    for field in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(config.text_config, field, getattr(ids.text_config, field))
    return config
