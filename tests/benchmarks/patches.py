"""A vision tower's first layer as a convolution and as a product, side by side: `python tests/benchmarks/patches.py`.

Forward, and backward to the weights, of the patch projection of Qwen2-VL (3 channels, 2 frames, 14 x 14 pixels), in turn in one process;
medians of wall and CPU milliseconds, and the largest difference of their values. Nothing here passes or fails.
"""

from __future__ import annotations

import copy
import sys
import time
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from r1vl_core.policy.patches import multiply_patches

SIZES = ((216, 64), (1800, 32), (7200, 32), (1000, 1280))
"""Patches, and width of the tower: a picture of the bundled world, the benchmark's long prompts, and Qwen2-VL's own width."""
ROUNDS = 9


def timed(layer: torch.nn.Conv3d, patches: torch.Tensor) -> tuple[float, float]:
    """Wall and CPU seconds of one forward and backward."""
    wall, cpu = time.perf_counter(), time.process_time()
    layer(patches).sum().backward()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Measure and print a Markdown table."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print("| patches | width | convolution, wall ms | product | ratio | convolution, CPU ms | product | ratio | difference |")
    print("|---|---|---|---|---|---|---|---|---|")
    for num_patches, width in SIZES:
        torch.manual_seed(0)
        convolution = torch.nn.Conv3d(3, width, (2, 14, 14), stride=(2, 14, 14), bias=False)
        product = copy.deepcopy(convolution)
        multiply_patches(product)
        patches = torch.randn(num_patches, 3, 2, 14, 14)
        gap = float((convolution(patches) - product(patches)).detach().abs().max())
        runs = [[timed(layer, patches) for layer in (convolution, product)] for _ in range(ROUNDS)][1:]
        cells = []
        for clock in (0, 1):
            theirs, ours = (median(run[side][clock] for run in runs) * 1e3 for side in (0, 1))
            cells += [f"{theirs:.1f}", f"{ours:.1f}", f"**{theirs / ours:.1f}**"]
        print(f"| {num_patches} | {width} | {' | '.join(cells)} | {gap:.1e} |", flush=True)


if __name__ == "__main__":
    main()
