"""Every token has its place in the text, also where a character is several tokens."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from r1vl_core.policy.bundled import bundled_checkpoint
from r1vl_core.policy.model import Policy
from r1vl_core.policy.offsets import _by_bytes, token_starts
from tests.core.tiny_policies import tiny_policy

TEXTS = ("### Step 1: 3 + 4 = 7", "é", "naïve 数学 ∑ 🙂🙂 x", "👩‍👩‍👧 family", "Ж\nб\u0301", "\ufffd", "")


POLICY = tiny_policy()


@pytest.fixture(scope="module")
def policy() -> Policy:
    return POLICY


@pytest.fixture(scope="module")
def merging() -> Policy:
    """The bundled tokenizer, whose tokens are several characters, or parts of one."""
    tokenizer = AutoTokenizer.from_pretrained(bundled_checkpoint("r1vl-tiny"))
    return dataclasses.replace(POLICY, tokenizer=tokenizer, end_token_ids=(tokenizer.eos_token_id,))


@pytest.mark.parametrize("text", TEXTS)
def test_a_byte_stands_where_its_character_stands(policy: Policy, text: str) -> None:
    token_ids = policy.encode_path(text).tolist()
    expected = [place for place, character in enumerate(text) for _ in character.encode()]
    assert token_starts(policy, token_ids) == [*expected, len(text)]


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_of_many_characters_stand_where_they_begin(merging: Policy, text: str) -> None:
    encoded = merging.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    assert token_starts(merging, encoded["input_ids"]) == [start for start, _ in encoded["offset_mapping"]]


def test_special_tokens_and_what_follows_the_end_take_no_room(policy: Policy) -> None:
    a, b = policy.tokenizer("ab", add_special_tokens=False)["input_ids"]
    start = policy.tokenizer.convert_tokens_to_ids("<|im_start|>")
    end, pad = policy.end_token_ids
    assert token_starts(policy, [a, start, b, end, pad, a]) == [0, 1, 1, 2, 2, 2]
    assert token_starts(policy, []) == []


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 269), max_size=24))
def test_any_tokens_have_places_in_what_they_decode_to(token_ids: list[int]) -> None:
    starts, text = token_starts(POLICY, token_ids), POLICY.decode(token_ids)
    assert starts == sorted(starts)
    assert all(0 <= start <= len(text) for start in starts)
    kept = token_ids[: next((place for place, token in enumerate(token_ids) if token in POLICY.end_token_ids), len(token_ids))]
    assert _by_bytes(POLICY, kept)[1] == text


def test_a_tokenizer_that_is_not_byte_level_is_followed_by_decoding() -> None:
    words = Tokenizer(models.WordLevel({"how": 0, "many": 1, "été": 2, "?": 3}, unk_token="?"))
    words.pre_tokenizer, words.decoder = pre_tokenizers.Whitespace(), decoders.Fuse()
    spaced = PreTrainedTokenizerFast(tokenizer_object=words)
    policy = dataclasses.replace(POLICY, tokenizer=spaced, end_token_ids=(9,))
    assert policy.decode([0, 2, 1]) == "howétémany"
    assert token_starts(policy, [0, 2, 1]) == [0, 3, 6]
