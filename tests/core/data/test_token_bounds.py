"""What is said to fit without counting does fit, for the bundled tokenizer and for one that splits as Qwen's does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from r1vl_core.data.token_bounds import PathTokens
from r1vl_core.policy.model import load_policy
from tests.core.data.samples import path

QWEN_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def qwen_like() -> Tokenizer:
    """A small byte-level tokenizer with Qwen's normal form and its way to split."""
    from tokenizers import Regex

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(QWEN_SPLIT), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=["<|im_end|>"], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([path(), "what is the area of the triangle in the figure " * 3], trainer)
    return tokenizer


TOKENIZERS = {
    "r1vl-tiny": load_policy("r1vl-tiny", prompt="plain", max_pixels=200_704, weights=False).tokenizer.backend_tokenizer,
    "qwen-like": qwen_like(),
}
TEXTS = st.lists(
    st.sampled_from(
        [" ", "  ", "\n", " \n", "\t", "the", "area", "triangle", "xyzzy", "12", "5 + 7", ".", ",\n", "<|im_end|>", "é", "☃", "क़", "𝅘𝅥𝅮"]
    ),
    max_size=60,
).map("".join)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=300, deadline=None)
@given(TEXTS | st.text(max_size=80), st.integers(1, 120))
def test_what_surely_fits_does_fit(name: str, text: str, limit: int) -> None:
    tokenizer = TOKENIZERS[name]
    spelled_out = text.replace("<|im_end|>", "< im_end >")  # as a policy does it
    if PathTokens(tokenizer.to_str(), limit).surely_fit(text):
        assert len(tokenizer.encode(spelled_out, add_special_tokens=False).ids) + 1 <= limit


def test_most_paths_need_no_count() -> None:
    tokenizer = TOKENIZERS["qwen-like"]
    text = path()
    num_tokens = len(tokenizer.encode(text).ids)
    assert num_tokens < len(text)
    assert PathTokens(tokenizer.to_str(), int(num_tokens * 1.4) + 2).surely_fit(text)
    assert not PathTokens(tokenizer.to_str(), num_tokens).surely_fit(text)
