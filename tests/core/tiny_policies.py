"""Small random policies of every supported architecture and of some others, with a byte-level tokenizer, for tests."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Glm4vConfig,
    Glm4vForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLMoeConfig,
    Qwen3VLMoeForConditionalGeneration,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from r1vl_core.policy.model import Policy, Prompt, make_policy

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
ARCHITECTURES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
OTHERS = ("qwen3_vl_moe", "qwen3_5", "glm4v")
"""Models that the shared forward does not know: experts, layers with a running state, and another family."""

_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_policy(architecture: str = "qwen2_vl", seed: int = 0) -> Policy:
    """A random policy with two layers of width 32."""
    tokenizer = _tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _model(architecture, len(tokenizer)).eval()
        for parameter in model.parameters():
            # Larger than usual, so that a wrong position or mask shows in the output.
            parameter.data.mul_(8.0) if parameter.ndim > 1 else parameter.data.add_(torch.randn_like(parameter) * 0.1)
    model.generation_config.eos_token_id = [2, 0]
    image_processor = Qwen2VLImageProcessorPil(patch_size=14, min_pixels=28 * 28, max_pixels=140 * 140)
    return make_policy(model, tokenizer, image_processor, prompt="plain", max_pixels=140 * 140)


def picture(width: int, height: int, seed: int) -> Image.Image:
    """Random pixels."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def some_prompts(policy: Policy, num_prompts: int = 3) -> list[Prompt]:
    """Prompts of different length, with pictures of different size."""
    words = ("How many?", "What is the sum of all digits?", "Red or blue?", "7+5?", "Which row has the largest digit of all?")
    return [policy.encode(f"q{i}", words[i % len(words)], picture(28 * (1 + i % 3), 28 * (2 + i % 2), seed=i)) for i in range(num_prompts)]


def with_images(policy: Policy, prompt: Prompt, num_images: int) -> Prompt:
    """The same question after `num_images` pictures of different size instead of one."""
    pixels = policy.image_processor(images=[picture(28 * (1 + i), 56, seed=i + 9) for i in range(num_images)], return_tensors="pt")
    start, image, end = (SPECIAL_TOKENS.index(f"<|{name}|>") for name in ("vision_start", "image_pad", "vision_end"))
    opening = [token for grid in pixels["image_grid_thw"] for token in [start, *[image] * (int(grid.prod()) // 4), end]]
    at = prompt.input_ids.tolist().index(end) + 1
    input_ids = torch.tensor([*opening, *prompt.input_ids[at:].tolist()])
    return Prompt(prompt.question_id, input_ids, (input_ids == image).long(), pixels["pixel_values"].float(), pixels["image_grid_thw"])


def favour(policy: Policy, token_id: int, by: float) -> None:
    """Give the policy a head that adds `by` to one token's logit: a bias of its own, as any checkpoint might have."""
    old = policy.model.lm_head
    head = torch.nn.Linear(old.in_features, old.out_features)
    with torch.no_grad():
        head.weight.copy_(old.weight)
        head.bias.zero_()
        head.bias[token_id] = by
    policy.model.lm_head = head


def _tokenizer() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*SPECIAL_TOKENS, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL_TOKENS),
        chat_template=_TEMPLATE,
    )


def _model(architecture: str, vocab_size: int) -> torch.nn.Module:
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
    text = {
        "vocab_size": vocab_size,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 1024,
        "rope_parameters": rope,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": 2,
    }
    named = {"image_token_id": 5, "video_token_id": 6, "vision_start_token_id": 3, "vision_end_token_id": 4, "tie_word_embeddings": False}
    vision = {"depth": 2, "num_heads": 2, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2}
    if architecture == "qwen2_vl":
        del text["head_dim"]
        return Qwen2VLForConditionalGeneration(
            Qwen2VLConfig(text_config=text, vision_config={**vision, "embed_dim": 16, "hidden_size": 32, "mlp_ratio": 2}, **named)
        )
    if architecture == "qwen2_5_vl":
        del text["head_dim"]
        windows = {"window_size": 56, "fullatt_block_indexes": [1]}
        sizes = {"hidden_size": 16, "out_hidden_size": 32, "intermediate_size": 24}
        return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config={**vision, **sizes, **windows}, **named))
    deep = {
        "hidden_size": 16,
        "out_hidden_size": 32,
        "intermediate_size": 24,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    }
    if architecture == "qwen3_vl":
        return Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config={**vision, **deep}, **named))
    if architecture == "qwen3_vl_moe":
        experts = {"moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2}
        config = Qwen3VLMoeConfig(text_config={**text, **experts}, vision_config={**vision, **deep}, **named)
        return Qwen3VLMoeForConditionalGeneration(config)
    text["rope_parameters"] = {**rope, "partial_rotary_factor": 1.0}
    if architecture == "qwen3_5":
        state = {f"linear_{name}": size for name, size in (("num_key_heads", 2), ("num_value_heads", 2), ("key_head_dim", 8))}
        state |= {"linear_value_head_dim": 8, "layer_types": ["linear_attention", "full_attention"]}
        del deep["deepstack_visual_indexes"]
        config = Qwen3_5Config(text_config={**text, **state}, vision_config={**vision, **deep}, **named)
        return Qwen3_5ForConditionalGeneration(config)
    named |= {"image_start_token_id": named.pop("vision_start_token_id"), "image_end_token_id": named.pop("vision_end_token_id")}
    looks = {"hidden_size": 16, "out_hidden_size": 32, "intermediate_size": 24, "image_size": 140}
    return Glm4vForConditionalGeneration(Glm4vConfig(text_config=text, vision_config={**vision, **looks}, **named))
