"""The vision tower's first layer, as the matrix product it is.

Every patch arrives cut out, as large as the kernel: the convolution has one place to stand on and is a product with its flattened
weights. Libraries of convolutions do not see that: on two CPU cores the product took a third to an eighth of the CPU time, forward and
backward (`tests/benchmarks/patches.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


class PatchProjection(torch.nn.Conv3d):
    """A Conv3d that multiplies where its input (N, C, T, H, W) is just its kernel's size; weights and names stay as they were."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, E, 1, 1, 1) for patches; whatever the convolution gives for anything else."""
        if tuple(input.shape[2:]) != tuple(self.kernel_size):
            return super().forward(input)
        return functional.linear(input.flatten(1), self.weight.flatten(1), self.bias)[..., None, None, None]


def multiply_patches(model: torch.nn.Module) -> None:
    """Let the convolutions of `model` that may be given single patches multiply them. Their parameters are not touched."""
    for module in model.modules():
        if type(module) is torch.nn.Conv3d and module.padding == (0, 0, 0) and module.dilation == (1, 1, 1) and module.groups == 1:
            module.__class__ = PatchProjection
