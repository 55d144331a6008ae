"""Benchmark files for tests: the bundled fixtures, and rows written on the spot."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from r1vl_core.evaluation.benchmarks.scoring import BenchmarkFile, read_benchmark

FIXTURES = Path(__file__).parents[1] / "fixtures"
PICTURE = "iVBORw0KGgo" * 8
SCORED_BY_TOOLKIT = ("mathvista", "mmstar", "mathvision", "chartqa", "dynamath", "hallusionbench", "mathverse", "mme")

# One row of each benchmark, complete; a test changes what it is about.
ROWS: dict[str, dict[str, str]] = {
    "mathvista": {
        "question": "?",
        "question_type": "free_form",
        "answer_type": "integer",
        "answer": "14",
        "answer_option": "",
        "choices": "",
        "task": "t",
        "skills": "['s']",
    },
    "mmstar": {"question": "?", "answer": "B", "category": "math", "l2_category": "p", "A": "12", "B": "16", "C": "18", "D": "20"},
    "mathvision": {"question": "?", "choices": "[]", "answer": "7", "category": "algebra"},
    "chartqa": {"question": "?", "answer": "100", "split": "test_human"},
    "dynamath": {
        "question": "?",
        "answer": "7.0",
        "answer_type": "float",
        "subject": "s",
        "knowledge_level": "k",
        "qid": "0",
        "varid": "1",
    },
    "hallusionbench": {"index": "VD_figure_1_0_0_0", "question": "?", "answer": "No", "category": "VD", "l2-category": "VD_figure"},
    "mathverse": {"question": "?", "answer": "B", "problem_version": "Vision Only", "metadata": "{'subject': 'S', 'subfield': 'F'}"},
    "mme": {"question": "?", "answer": "Yes", "category": "color", "image_path": "1.png"},
    "handwriting": {"question": "?", "answer": "7", "category": "sum"},
}


def write(path: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    """Rows as the toolkit's TSV; a row without index or picture is given one."""
    whole = [{"index": str(number), "image": PICTURE, **row} for number, row in enumerate(rows)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(list(whole[0]))
        writer.writerows([row[name] for name in whole[0]] for row in whole)
    return path


def benchmark_file(folder: Path, name: str, *changes: Mapping[str, str]) -> BenchmarkFile:
    """A file of that benchmark's rows, one for each set of changes."""
    return read_benchmark(name, write(folder / f"{name}.tsv", [{**ROWS[name], **change} for change in changes]))


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
