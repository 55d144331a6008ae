"""A device "pretend": tensors that say they lie on a GPU and hold their values in main memory, for machines that have none.

Importing this registers the device for the whole process, so import it in a process of its own. Within `Pretending` an operation
whose tensors lie on two devices raises, as it would on a GPU (a single number may lie in main memory, and indices, which are sent), and
every wait of the host for the device, and every tensor sent there, is noted with the line of ours that caused it. Values are a CPU's.
"""

from __future__ import annotations

import dataclasses
import sys
import types
from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from r1vl_core.policy.model import Policy

aten = torch.ops.aten
MAIN = torch.device("cpu")

_COPIES = (aten.copy_.default, aten._to_copy.default)
_INDEXED = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default)
"""Operations to which torch sends indices that lie in main memory."""
_SIZED_BY_VALUES = (aten.nonzero, aten.masked_select, aten._unique2, aten.unique_dim, aten.unique_consecutive, aten.bincount, aten.equal)
"""Operations whose result has a size that only the values tell: the host waits for them."""


class _Backend(types.ModuleType):
    """What torch asks of a device's module."""

    def is_available(self) -> bool:
        return True

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        """There is no generator on it."""

    def get_rng_state(self, device: Any = None) -> Tensor:
        return torch.zeros(0, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        """There is none."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


_setup_privateuseone_for_python_backend("pretend", backend_module=_Backend("pretend"))
DEVICE = torch.device("pretend", 0)


class PretendTensor(Tensor):
    """A tensor on the device; `held` has its values."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, held: Tensor) -> PretendTensor:
        options = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype, "device": DEVICE}
        return torch.Tensor._make_wrapper_subclass(cls, held.shape, **options)  # type: ignore[attr-defined]

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A checkpoint is read back into main memory, whatever device it was written from."""
        return self.held.__reduce_ex__(protocol)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"PretendTensor({self.held})"

    def tolist(self) -> Any:
        """torch reads memory here, past all dispatching."""
        return self.to(MAIN).tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func.decompose(*args, **(kwargs or {})) if _is_made_of_others(func) else _computed(func, args, kwargs or {})


class Pretending(TorchDispatchMode):
    """Within it tensors can be made on the device. `waits` and `sent` count lines of ours, as "file:line function"."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if _is_made_of_others(func):
            with self:
                return func.decompose(*args, **(kwargs or {}))
        given = [tensor for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)]
        is_here = any(isinstance(tensor, PretendTensor) for tensor in given)
        out = _computed(func, args, kwargs or {})
        if is_here and _waits(func, args, out):
            self.waits[_line_of_ours()] += 1
        if func in (*_COPIES, *_INDEXED) and isinstance(out, PretendTensor):
            self.sent[_line_of_ours()] += sum(not isinstance(tensor, PretendTensor) and tensor.ndim > 0 for tensor in given)
        return out


def on_device(policy: Policy) -> Policy:
    """The policy with its model's weights and buffers on the device, in place."""
    moved: dict[int, Tensor] = {}
    for module in policy.model.modules():
        for tables in (module._parameters, module._buffers):
            for name, tensor in tables.items():
                if tensor is None:
                    continue
                there = moved.setdefault(id(tensor), PretendTensor(tensor.detach()))
                if isinstance(tensor, torch.nn.Parameter) and not isinstance(there, torch.nn.Parameter):
                    there = moved[id(tensor)] = torch.nn.Parameter(there, requires_grad=tensor.requires_grad)
                tables[name] = there
    return dataclasses.replace(policy)


def _is_made_of_others(func: Any) -> bool:
    """Whether torch has it for no device, but made of operations that it has: in inference mode such a one comes here whole."""
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"))


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    given = [tensor for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)]
    is_here = any(isinstance(tensor, PretendTensor) for tensor in given)
    held_args, held_kwargs = tree_map_only(PretendTensor, lambda tensor: tensor.held, (args, kwargs))
    wanted = kwargs.get("device")
    if wanted is not None:
        is_here = torch.device(wanted).type == DEVICE.type
        held_kwargs["device"] = MAIN
    elif is_here and func not in (*_COPIES, *_INDEXED):
        strangers = [tuple(tensor.shape) for tensor in given if not isinstance(tensor, PretendTensor) and tensor.ndim]
        if strangers:
            raise RuntimeError(f"{func}: tensors on two devices; in main memory is one of shape {strangers[0]}, made in {_line_of_ours()}")
    out = func(*held_args, **held_kwargs)
    if func is aten.copy_.default:
        return args[0]
    if not is_here:
        return out
    out = tree_map_only(Tensor, lambda tensor: tensor if isinstance(tensor, PretendTensor) else PretendTensor(tensor), out)
    return return_and_correct_aliasing(func, args, kwargs, out)


def _waits(func: Any, args: Any, out: Any) -> bool:
    if func is aten._local_scalar_dense.default or getattr(func, "overloadpacket", None) in _SIZED_BY_VALUES:
        return True
    if func in _COPIES and isinstance(args[-1 if func is aten.copy_.default else 0], PretendTensor):
        return not isinstance(out, PretendTensor)
    if func is aten.repeat_interleave.Tensor:
        return True
    return func in _INDEXED and any(isinstance(index, Tensor) and index.dtype == torch.bool for index in args[1])


def _line_of_ours() -> str:
    frame: types.FrameType | None = sys._getframe()
    while frame is not None:
        _, found, file = frame.f_code.co_filename.rpartition("/r1vl_core/")
        if found:
            return f"{file}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back
    return "nowhere of ours"


def _empty_strided(size: Any, stride: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: Any = None) -> Tensor:
    return PretendTensor(torch.empty_strided(size, stride, dtype=dtype))


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    there, here = (tensor.held if isinstance(tensor, PretendTensor) else tensor for tensor in (target, source))
    there.copy_(here)
    return target


# torch.tensor(..., device=DEVICE) asks the device's own kernels.
_KERNELS = torch.library.Library("aten", "IMPL")
_KERNELS.impl("empty_strided", _empty_strided, "PrivateUse1")
_KERNELS.impl("_copy_from", _copy_from, "PrivateUse1")
