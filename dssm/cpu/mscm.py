# SPDX-License-Identifier: Apache-2.0
"""The masked convolution with its activation and channel attention, and their gradients (csrc/cpu/mscm.cpp)."""

from __future__ import annotations

import torch

from dssm.cpu import array, lib, threads
from dssm.layout import memory_format
from dssm.ops.mscm import ACTIVATIONS
from dssm.reference import mscm as reference

# With fewer results the block of sums in the registers is mostly padding, and oneDNN's float32 convolution, which the
# reference calls, wins: up to 2.2 times on AVX2 (32-bit floats only; its 16-bit ones lose by far).
_NARROW = lib.mscm_width() // 2
_PARALLEL = 50_000_000  # additions and multiplications, about half a millisecond: less is over before threads start


def mscm(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    squeeze_weight: torch.Tensor | None,
    squeeze_bias: torch.Tensor | None,
    excite_weight: torch.Tensor | None,
    excite_bias: torch.Tensor | None,
    dilation: int,
    activation: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, C, H, W) -> (B, Cout, H, W) and what the gradient wants to know of the attention."""
    attention = (squeeze_weight, squeeze_bias, excite_weight, excite_bias)
    if not _suits(x, weight, weight.shape[1]):
        return reference.mscm(x, weight, bias, *attention, dilation, activation)
    size = (x.shape[0], weight.shape[1], *x.shape[2:])
    out = torch.empty(size, dtype=x.dtype, memory_format=memory_format(x))
    squeezed = torch.empty((0,) if squeeze_weight is None else (2, *size[:2]))
    lib.mscm(
        array(x),
        array(weight),
        array(bias),
        [array(tensor) for tensor in attention],
        dilation,
        ACTIVATIONS.index(activation),
        array(out),
        array(squeezed),
        _threads(x, weight),
    )
    return out, squeezed


def mscm_backward(
    grad: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    squeeze_weight: torch.Tensor | None,
    squeeze_bias: torch.Tensor | None,
    excite_weight: torch.Tensor | None,
    excite_bias: torch.Tensor | None,
    dilation: int,
    activation: str,
    out: torch.Tensor,
    squeezed: torch.Tensor,
) -> list[torch.Tensor] | None:
    """The gradients of the given tensors; None leaves them to the reference."""
    attention = (squeeze_weight, squeeze_bias, excite_weight, excite_bias)
    if not _suits(x, weight, max(weight.shape[1:3])) or not _invertible(out, squeezed):
        return None
    grads = [
        None if tensor is None else torch.empty_like(tensor, memory_format=memory_format(tensor))
        for tensor in (x, weight, bias, *attention)
    ]
    lib.mscm_backward(
        array(grad),
        array(out),
        array(squeezed),
        array(x),
        array(weight),
        [array(tensor) for tensor in attention],
        dilation,
        ACTIVATIONS.index(activation),
        [array(tensor) for tensor in grads],
        _threads(x, weight),
    )
    return [tensor for tensor in grads if tensor is not None]


def _suits(x: torch.Tensor, weight: torch.Tensor, channels: int) -> bool:
    """Whether the kernel is made for these: 1 x 1 windows, no float64, something to compute, and enough channels."""
    if weight.shape[-1] != 1 or x.numel() == 0 or weight.numel() == 0:
        return False
    return x.dtype in (torch.bfloat16, torch.float16) or (x.dtype == torch.float32 and channels > _NARROW)


def _invertible(out: torch.Tensor, squeezed: torch.Tensor) -> bool:
    """Whether out / scale is the map before the attention: not where the scale is so small that digits were lost."""
    return squeezed.numel() == 0 or bool(squeezed[1].min() >= torch.finfo(out.dtype).smallest_normal)


def _threads(x: torch.Tensor, weight: torch.Tensor) -> int:
    work = 8 * x.numel() * weight.shape[1]
    return threads() if work > _PARALLEL else 1
