"""The patch projection is the convolution it stands in for: the same values, gradients, parameters and files."""

from __future__ import annotations

import copy

import pytest
import torch

from r1vl_core.policy.patches import PatchProjection, multiply_patches
from tests.core.tiny_policies import ARCHITECTURES, OTHERS, tiny_policy


def projections(*, bias: bool) -> tuple[torch.nn.Conv3d, torch.nn.Conv3d]:
    """A convolution, and its copy that multiplies, in float64."""
    convolution = torch.nn.Conv3d(3, 16, (2, 14, 14), stride=(2, 14, 14), bias=bias).double()
    product = copy.deepcopy(convolution)
    multiply_patches(product)
    assert type(product) is PatchProjection
    return convolution, product


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(5, 3, 2, 14, 14), (1, 3, 2, 14, 14), (0, 3, 2, 14, 14), (2, 3, 4, 28, 42)])
def test_values_and_gradients_are_the_convolutions(size: tuple[int, ...], *, bias: bool) -> None:
    torch.manual_seed(0)
    pixels = torch.randn(size, dtype=torch.float64)
    made = []
    for layer in projections(bias=bias):
        given = pixels.clone().requires_grad_()
        out = layer(given)
        (out * torch.arange(out.numel(), dtype=torch.float64).view(out.shape)).sum().backward()
        made.append([out.detach(), given.grad, layer.weight.grad, *([layer.bias.grad] if layer.bias is not None else [])])
    for expected, found in zip(*made, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *OTHERS])
def test_every_policy_multiplies_its_patches_and_saves_what_it_loaded(architecture: str) -> None:
    model = tiny_policy(architecture).model
    assert type(model.model.visual.patch_embed.proj) is PatchProjection
    assert not [module for module in model.modules() if type(module) is torch.nn.Conv3d]
    assert "model.visual.patch_embed.proj.weight" in model.state_dict()


def test_a_convolution_that_is_no_projection_stays_one() -> None:
    layers = torch.nn.Sequential(
        torch.nn.Conv3d(2, 2, 3, padding=1), torch.nn.Conv3d(2, 2, 3, dilation=2), torch.nn.Conv3d(2, 2, 3, groups=2)
    )
    multiply_patches(layers)
    assert {type(layer) for layer in layers} == {torch.nn.Conv3d}
