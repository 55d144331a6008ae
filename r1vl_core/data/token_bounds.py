"""An estimate of a text's tokens that costs a tenth of the tokenizer: most texts are far below the limit, and need not be counted."""

from __future__ import annotations

import functools

from tokenizers import Tokenizer

_SAFE_SHARE = 0.75
_SAVED_SHARE = 0.4
"""Of a text's bytes, those that are no tokens: of most texts more."""
_MAX_BYTES = 12
"""Of a character in normal form, which tokenizers make first: three characters at most, each of four bytes."""
_MAX_WORDS = 1 << 20


class PathTokens:
    """Says of most paths, without counting, that they keep a limit.

    A byte-level tokenizer splits before each space behind a letter, so the tokens of a text are those of its words, summed; each word is
    tokenized once. Texts with estimates above three quarters of the limit are left to the tokenizer: the answer is never wrong for want
    of an exact sum. The tokenizer comes as its JSON, so that worker processes can have it.
    """

    def __init__(self, tokenizer_json: str, limit: int) -> None:
        self._tokenizer_json = tokenizer_json
        self._limit = limit

    def surely_fit(self, text: str) -> bool:
        """Whether a text and its end token are surely within the limit; False means that the tokenizer must count."""
        if (1 if text.isascii() else _MAX_BYTES) * len(text) < self._limit:
            return True  # a token is one byte at least
        safe = int(_SAFE_SHARE * self._limit) - 1
        counts = _word_counts(self._tokenizer_json)
        if text.isascii():
            # A part of the words is enough, where what is saved in them leaves room for as many tokens as the rest has bytes.
            start = text.find(" ", int((len(text) - safe) / _SAVED_SHARE))
            if start > 0 and sum(map(counts.__getitem__, text[:start].split(" "))) + len(text) - start <= safe:
                return True
        return sum(map(counts.__getitem__, text.split(" "))) <= safe


@functools.lru_cache(maxsize=2)
def _word_counts(tokenizer_json: str) -> _WordCounts:
    return _WordCounts(tokenizer_json)


class _WordCounts(dict[str, int]):
    """Tokens of a space and a word, counted when first asked for."""

    def __init__(self, tokenizer_json: str) -> None:
        super().__init__()
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        # Special tokens in a text are spelled out (`Policy`): here too.
        self._tokenizer.encode_special_tokens = True

    def __missing__(self, word: str) -> int:
        num_tokens = len(self._tokenizer.encode(f" {word}", add_special_tokens=False).ids)
        if len(self) < _MAX_WORDS:
            self[word] = num_tokens
        return num_tokens
