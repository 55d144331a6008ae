"""Answers on their way into an artifact: JSON lines in the scratch of the recipe, a file a process, on the disk before the next batch.

What `kill -9` loses is the batch under way; whoever goes on asks only what no file holds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from r1vl_core.data.responses import ResponseRow

_PATTERN = "answers-*.jsonl"

Key = tuple[str, str]
"""Benchmark and index of a row."""


class AnswerFile:
    """The file of one process, for one writer; a context manager. What a killed writer left of a batch is cut off first."""

    def __init__(self, folder: Path, process: int) -> None:
        self._path = folder / f"answers-{process}.jsonl"

    def __enter__(self) -> AnswerFile:
        self._file = self._path.open("ab", buffering=0)
        self._file.truncate(_length_of_whole_lines(self._path))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def append(self, answers: Iterable[Iterable[ResponseRow]]) -> None:
        """Put the responses to some rows on the disk, a line a row: all of them or none. Raises OSError naming the file."""
        left = "".join(json.dumps([asdict(response) for response in row]) + "\n" for row in answers).encode()
        start = self._file.seek(0, os.SEEK_END)
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(start)  # half a line would spoil the one behind it
            raise OSError(error.errno, error.strerror, str(self._path)) from None


def read_answers(folder: Path) -> dict[Key, list[ResponseRow]]:
    """The responses to every row that any process has answered, by row; a line that was being written is left out."""
    found: dict[Key, list[ResponseRow]] = {}
    for path in sorted(folder.glob(_PATTERN)):
        with path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    responses = [ResponseRow(**response) for response in json.loads(line)]
                    found.setdefault((responses[0].benchmark, responses[0].row_index), responses)
    return found


def _length_of_whole_lines(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(len(line) for line in lines if line.endswith(b"\n"))
