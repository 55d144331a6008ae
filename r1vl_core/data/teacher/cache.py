"""Every answer a teacher was ever paid for, in one long-lived DuckDB database with one writer.

An answer is committed, alone and to the disk, before anybody uses it: six milliseconds beside the seconds that it took. What `kill -9`
can lose is what no program can keep: requests whose answer had not arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from r1vl_core.data.named_sql import named_sql
from r1vl_core.data.teacher.budget import Tokens

SCHEMA_VERSION = 1
"""Raised when a column changes its name or meaning."""


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """What an answer is an answer to: the prompt template and its digest, the model, and the digest of the whole request.

    >>> AnswerKey("extract", "3f2a", "teacher-1", "77c0").prompt
    'extract'
    """

    prompt: str
    prompt_digest: str
    model: str
    input_digest: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a teacher answered; `seconds` of the attempt that was answered, out of `attempts`.

    >>> Answer("{}", "stop", Tokens(12, 3), 0.8, 1).tokens.total
    15
    """

    text: str
    finish: str
    tokens: Tokens
    seconds: float
    attempts: int


class AnswerCache:
    """The open database, for one writer; made by `opened`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        self._connection, self._path = connection, path

    def release(self) -> None:
        """Let go of the connection: DuckDB's bindings tell, at the interpreter's end, of every one that a traceback still reaches."""
        del self._connection

    def find(self, key: AnswerKey) -> Answer | None:
        """The answer to exactly this, or None when nobody paid for it yet."""
        found = self._connection.execute(_step("cache_find"), [key.prompt_digest, key.model, key.input_digest]).fetchall()
        if not found:
            return None
        ((text, finish, asked, answered, seconds, attempts),) = found
        return Answer(text, finish, Tokens(asked, answered), seconds, attempts)

    def keep(self, key: AnswerKey, answer: Answer, scope: str) -> None:
        """Commit an answer to the disk; `scope` is the recipe that paid. Raises OSError when the disk is full."""
        row: list[Any] = [key.prompt_digest, key.model, key.input_digest, key.prompt, scope, answer.text, answer.finish]
        row += [answer.tokens.asked, answer.tokens.answered, answer.seconds, answer.attempts, datetime.now(UTC).replace(tzinfo=None)]
        try:
            self._connection.execute(_step("cache_keep"), row)
        except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.TransactionException, duckdb.FatalException) as error:
            raise OSError(f"cannot write the answers that were paid for to {self._path}: {error}") from error

    def spent(self, scope: str) -> Tokens:
        """What was paid for under a recipe, over all its runs."""
        ((asked, answered),) = self._connection.execute(_step("cache_spent"), [scope]).fetchall()
        return Tokens(asked, answered)


@contextmanager
def opened(path: Path) -> Iterator[AnswerCache]:
    """Open the cache for writing, making it where there is none. Raises ValueError for what is no cache of ours or has another writer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = duckdb.connect(str(path), config={"enable_external_access": "false"})
    except duckdb.IOException as error:
        raise ValueError(
            f"{path}: cannot be opened for writing ({' '.join(str(error).split())}); end the other program, or move it away"
        ) from None
    with connection:
        try:
            connection.begin()
            connection.execute(_step("cache_tables"))
            versions = connection.execute(_step("cache_version")).fetchall()
            if not versions:
                connection.execute(_step("cache_insert_version"), [SCHEMA_VERSION])
            connection.commit()
        except duckdb.Error as error:
            raise ValueError(f"{path}: no cache of ours ({' '.join(str(error).split())}); move it away") from None
        if versions not in ([], [(SCHEMA_VERSION,)]):
            raise ValueError(f"{path}: schema version {versions[0][0]}, this program writes {SCHEMA_VERSION}; move it away or update r1vl")
        cache = AnswerCache(connection, path)
        try:
            yield cache
        finally:
            cache.release()


def _step(name: str) -> str:
    return named_sql(__package__, "cache.sql")[name]
