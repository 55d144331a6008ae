"""The page of one or two evaluations: their answers out of DuckDB, side by side, with the pictures out of the benchmark files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from r1vl_core.data import responses as stored
from r1vl_core.evaluation.benchmarks.registry import prompt_text
from r1vl_core.evaluation.benchmarks.rulings import PROFILES, Ruling
from r1vl_core.evaluation.benchmarks.scoring import read_benchmark
from r1vl_core.evaluation.benchmarks.tsv import read_pictures
from r1vl_core.reporting.responses_page import PAGE, AnswerView, RowView, write_page

BUILDING = ".building-"
RowKey = tuple[str, str]
"""Benchmark and index."""
Key = tuple[str, str, int]
"""Benchmark, index and sample."""


@dataclass(frozen=True)
class Answered:
    """An evaluation as the page shows it: every sample of each row, with the ruling by every profile it was scored by.

    `prompt` is the template it was asked with, None where nobody knows. `asked` holds each row's question and right answer, as the file
    had them that was evaluated.
    """

    name: str
    prompt: str | None
    is_partial: bool
    num_samples: int
    answers: Mapping[Key, AnswerView]
    asked: Mapping[RowKey, tuple[str, str]]


def read_answered(file: Path) -> Answered:
    """An evaluation out of its file. Raises ValueError for what is none."""
    evaluation = stored.read_evaluation(file)
    rulings: dict[Key, dict[str, Ruling]] = {}
    for profile in PROFILES:
        for one in stored.read_verdicts(file, profile):
            ruling = Ruling(one.extracted, one.correct, one.rule, one.decided_by)  # type: ignore[arg-type]
            rulings.setdefault((one.benchmark, one.row_index, one.sample), {})[profile] = ruling
    rows = stored.read_responses(file)
    keyed = {(one.benchmark, one.row_index, one.sample): one for one in rows}
    answers = {key: AnswerView(one.response, one.num_tokens, one.truncated, rulings.get(key, {})) for key, one in keyed.items()}
    asked = {(one.benchmark, one.row_index): (one.question, one.answer) for one in stored.read_questions(file)}
    num_samples = 1 + max((one.sample for one in rows), default=0)
    return Answered(evaluation.policy, evaluation.prompt, evaluation.partial, num_samples, answers, asked)


def write(out: Path, evaluations: Sequence[Answered], names: Sequence[str], files: Mapping[str, Path]) -> int:
    """Write the page into `out`, in the place of an earlier one, and return its number of rows; `files` are the benchmarks' by name.

    Raises ValueError for a folder that holds anything else, and for a file that lacks a row that was answered.
    """
    if out.exists() and not ((out / "data" / "index.js").is_file() or (out.is_dir() and not any(out.iterdir()))):
        raise ValueError(f"--out {out}: holds something that is no page of ours; give a new folder")
    building = out.with_name(f"{BUILDING}{out.name}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        title, notes = " against ".join(reversed(names)), _notes(evaluations, names)
        num_rows = write_page(building, title, names, PROFILES, _rows(evaluations, files), notes)
        shutil.rmtree(out, ignore_errors=True)
        building.rename(out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    assert (out / PAGE).is_file(), "the page was just written"
    return num_rows


def _rows(evaluations: Sequence[Answered], files: Mapping[str, Path]) -> Iterator[RowView]:
    for name, path in files.items():
        file = read_benchmark(name, path)
        wanted = {index for one in evaluations for benchmark, index, _ in one.answers if benchmark == name}
        unknown = wanted - file.rows.keys()
        if unknown:
            raise ValueError(f"{path}: no row with the index {min(unknown)!r:.80}, which was answered; give the file that was evaluated")
        for index, pictures in read_pictures(path, wanted):
            row = file.rows[index]
            if any(
                one.asked.get((name, index), (row["question"], row["answer"])) != (row["question"], row["answer"]) for one in evaluations
            ):
                raise ValueError(f"{path}: row {index!r:.80} is not the question that was answered; give the file that was evaluated")
            yield from _samples(evaluations, name, row, pictures)


def _samples(evaluations: Sequence[Answered], name: str, row: Mapping[str, str], pictures: tuple[bytes, ...]) -> Iterator[RowView]:
    """A row as often as it was sampled: those of the same number stand side by side."""
    index = row["index"]
    for sample in range(max(one.num_samples for one in evaluations)):
        answers = tuple(one.answers.get((name, index, sample)) for one in evaluations)
        if any(answers):
            yield RowView(
                benchmark=name,
                index=f"{index} (sample {sample + 1})" if sample else index,
                category=row.get("category", ""),
                question=row["question"],
                prompt=_prompt(evaluations, name, row),
                choices=tuple((letter, row[letter]) for letter in ascii_uppercase if row.get(letter)),
                gold=row["answer"],
                pictures=pictures,
                answers=answers,
            )


def _prompt(evaluations: Sequence[Answered], benchmark: str, row: Mapping[str, str]) -> str:
    """What the policies were asked: one text, or one under the other where their templates differ."""
    asked = {one.prompt: prompt_text(benchmark, dict(row), one.prompt) if one.prompt else row["question"] for one in evaluations}
    if len(asked) == 1:
        return next(iter(asked.values()))
    return "\n\n".join(f"[{one.name}, prompt {one.prompt or 'unknown'}]\n{asked[one.prompt]}" for one in evaluations)


def _notes(evaluations: Sequence[Answered], names: Sequence[str]) -> list[str]:
    found = []
    for one, name in zip(evaluations, names, strict=True):
        if one.is_partial:
            found.append(f"{name}: partial, only some rows of the benchmarks were asked.")
        if one.num_samples > 1:
            found.append(f"{name}: {one.num_samples} samples a row, each a row of its own here.")
    return found
