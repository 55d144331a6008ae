"""The paper's own table, to stand beside ours: the published number of each benchmark, and the mean of the eight."""

from __future__ import annotations

from r1vl_core.evaluation.benchmarks.average import COLUMNS

_TABLE = {
    "Qwen2-VL-2B": (43.0, 48.0, 12.4, 73.5, 24.9, 41.7, 19.7, 1872.0),
    "R1-VL-2B": (52.1, 49.8, 17.1, 75.2, 29.4, 44.0, 26.2, 2048.0),
    "Qwen2-VL-7B": (58.2, 60.7, 16.3, 83.0, 42.1, 50.6, 32.5, 2327.0),
    "R1-VL-7B": (63.5, 60.0, 24.7, 83.9, 45.2, 54.7, 40.0, 2376.0),
}

PAPER: dict[str, dict[str, float]] = {name: dict(zip(COLUMNS, row, strict=True)) for name, row in _TABLE.items()}
"""By model, then by benchmark: arXiv 2503.12937, its table of the eight benchmarks. Percent; MME is a sum of at most 2,800."""

TITLES = {
    "mathvista": "Math\nVista",
    "mmstar": "MM\nStar",
    "mathvision": "Math\n-V",
    "chartqa": "Chart\nQA",
    "dynamath": "Dyna\nMath",
    "hallusionbench": "Hall\nBench",
    "mathverse": "Math\nVerse",
    "mme": "MME",
    "handwriting": "handwriting",
}
"""The columns' heads, as the paper has them, in two lines so that all fit a terminal."""

FILES = {
    "mathvista": "MathVista_MINI.tsv",
    "mmstar": "MMStar.tsv",
    "mathvision": "MathVision.tsv",
    "chartqa": "ChartQA_TEST.tsv",
    "dynamath": "DynaMath.tsv",
    "hallusionbench": "HallusionBench.tsv",
    "mathverse": "MathVerse_MINI.tsv",
    "mme": "MME.tsv",
    "handwriting": "heldout.tsv",
}
"""The file of each benchmark, as VLMEvalKit names it; `r1vl world` writes the last."""
