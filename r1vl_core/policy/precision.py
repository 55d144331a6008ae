"""In which precision a policy computes: bf16 by autocast over fp32 weights, or fp32."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from r1vl_core.config import Precision


def is_bf16(precision: Precision, device_type: str) -> bool:
    """Whether forwards on a device of this type ("cpu", "cuda") compute in bf16; "auto" does on a GPU that has it.

    >>> is_bf16("auto", "cpu"), is_bf16("bf16", "cpu")
    (False, True)
    """
    return precision == "bf16" or (precision == "auto" and device_type == "cuda" and _gpu_has_bf16())


def check_precision(precision: Precision, device: str) -> None:
    """Raises ValueError for bf16 on a GPU that only emulates it."""
    if precision == "bf16" and torch.device(device).type == "cuda" and not _gpu_has_bf16():
        raise ValueError('precision "bf16" was asked for, but this GPU has no bf16 arithmetic; use "auto" or "fp32"')


@contextmanager
def without_gradients(model: torch.nn.Module, *, is_bf16: bool) -> Iterator[None]:
    """Within it no gradient is taken, and an autocast to bf16 rounds every weight once.

    Autocast keeps its copies outside inference mode alone, and of weights that require a gradient alone; any other it would round again
    for every token, which takes longer than the rest of decoding.
    """
    if not is_bf16:
        with torch.inference_mode():
            yield
        return
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        with torch.no_grad():
            yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)


@functools.cache
def _gpu_has_bf16() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))
