# SPDX-License-Identifier: Apache-2.0
"""Masked convolution."""

from __future__ import annotations

import torch

from dssm.errors import InputError
from dssm.ops import _check
from dssm.ops._op import define
from dssm.reference.mscm import memory_format

ACTIVATIONS = ("sigmoid", "relu", "none")


def _fake(x: torch.Tensor, weight: torch.Tensor, *_: object) -> torch.Tensor:
    size = (x.shape[0], weight.shape[1], *x.shape[2:])
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=memory_format(x))


_mscm = define(
    "mscm",
    "(Tensor x, Tensor weight, Tensor? bias, int dilation, str activation, str backend) -> Tensor",
    fake=_fake,
    differentiable=("x", "weight", "bias"),
)


def mscm(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    dilation: int = 2,
    activation: str = "sigmoid",
    backend: str | None = None,
) -> torch.Tensor:
    """Masked convolution f(sum_i W_i * K_i + b), K_i the corner windows of x padded by d zeros (eq. 6, 7).

    x: (B, C, H, W) floating, any strides.
    weight: (4, Cout, C, k, k) for the top-left, top-right, bottom-left and bottom-right windows, or
    (1, Cout, C, k, k) shared by all; k odd. The top-left window at (i, j) is x at (i - d, j - d).
    For k > 1 every window is convolved with zero "same" padding of its own.
    bias: (Cout,), the sum of the four, or None. dilation: d >= 1. activation f: "sigmoid", "relu" or "none".
    Returns (B, Cout, H, W) of x's dtype, channels_last if x is, else contiguous.
    Under autocast x, weight and bias are cast to the autocast dtype first.
    Differentiable with respect to x, weight and bias.
    Raises InputError for wrong shapes, dtypes, an even k and unknown activations.
    """
    _check.tensor("x", x, dims=4, dtypes=_check.FLOATS)
    _check.tensor("weight", weight, dims=5, dtypes=_check.FLOATS)
    windows, out, channels, k = weight.shape[:4]
    if windows not in (1, 4) or k != weight.shape[4] or k % 2 == 0:
        raise InputError(f"weight must have shape (4 or 1, Cout, C, k, k) with odd k, not {tuple(weight.shape)}")
    if channels != x.shape[1]:
        raise InputError(f"weight must have {x.shape[1]} input channels to fit x, not {channels}")
    if bias is not None:
        _check.tensor("bias", bias, dims=1, dtypes=_check.FLOATS)
        _check.shape("bias", bias, (out,), "weight")
    if dilation < 1:
        raise InputError(f"dilation must be at least 1, not {dilation}")
    _check.choice("activation", activation, ACTIVATIONS)
    _check.same_device(x=x, weight=weight, bias=bias)
    device = x.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    dtypes = {tensor.dtype for tensor in (x, weight, bias) if tensor is not None}
    if len(dtypes) > 1:
        raise InputError(f"x, weight and bias must have one dtype, not {', '.join(sorted(map(str, dtypes)))}")
    return _mscm(x, weight, bias, dilation, activation, backend or "")
