"""Where in the text of a response each of its tokens stands."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from itertools import takewhile

from r1vl_core.policy.model import Policy


def token_starts(policy: Policy, token_ids: Sequence[int]) -> list[int]:
    """For every token the place in `policy.decode(token_ids)` of the first character that it writes or helps to write; never falls.

    A character of several tokens (an emoji in byte-level BPE) stands where its first token stands. The end token and what follows it stand
    at the end of the text. Sampled tokens are looked at as they are: encoding the text again may split it in another way.
    """
    kept = list(takewhile(lambda token_id: token_id not in policy.end_token_ids, map(int, token_ids)))
    text = policy.decode(kept)
    starts, spelled = _by_bytes(policy, kept)
    if spelled != text:  # not a byte-level tokenizer
        starts = [_num_shared(policy.decode(kept[:place]), text) for place in range(len(kept))]
    return [*starts, *[len(text)] * (len(token_ids) - len(kept))]


def _by_bytes(policy: Policy, token_ids: Sequence[int]) -> tuple[list[int], str]:
    """The places of byte-level tokens, in time linear in their number, and the text that they spell."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    special = {token_id for token_id, token in policy.tokenizer.added_tokens_decoder.items() if token.special}
    starts, text, length = [], [], 0
    for token_id, token in zip(token_ids, policy.tokenizer.convert_ids_to_tokens(list(token_ids)), strict=True):
        starts.append(length)
        text.append(decoder.decode(b"" if token_id in special else _bytes_of(token)))
        length += len(text[-1])
    return starts, "".join([*text, decoder.decode(b"", final=True)])


def _num_shared(one: str, other: str) -> int:
    """Characters that both begin with."""
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _bytes_of(token: str | None) -> bytes:
    if token is None:  # a model's vocabulary may be larger than its tokenizer's
        return b""
    try:
        return bytes(_BYTES[character] for character in token)
    except KeyError:  # an added token stands in the vocabulary as it is
        return token.encode("utf-8", "replace")


def _alphabet() -> Iterator[tuple[str, int]]:
    # The spelling of bytes as characters that GPT-2 brought in: what can be printed is itself, the others follow from U+0100 on.
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    for byte in range(256):
        yield chr(byte if byte in printable else next(others)), byte


_BYTES = dict(_alphabet())
