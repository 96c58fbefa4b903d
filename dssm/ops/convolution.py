# SPDX-License-Identifier: Apache-2.0
"""The 3x3 convolution that most of a ResNet's time goes into."""

from __future__ import annotations

import torch

from dssm.errors import InputError
from dssm.layout import memory_format
from dssm.ops import _check
from dssm.ops._op import define


def _fake(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    size = (x.shape[0], weight.shape[0], *x.shape[2:])
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=memory_format(x))


_convolution = define(
    "convolution",
    "(Tensor x, Tensor weight, str backend) -> Tensor",
    fake=_fake,
    differentiable=("x", "weight"),
    keeps_layout=True,
)


def convolution(x: torch.Tensor, weight: torch.Tensor, *, backend: str | None = None) -> torch.Tensor:
    """A 3x3 convolution of stride 1 with zero padding 1: y(o, i, j) = sum_cuv w(o, c, u, v) x(c, i + u - 1, j + v - 1).

    x: (B, C, H, W) floating, any strides. weight: (Cout, C, 3, 3) of the same dtype.
    Returns (B, Cout, H, W) of x's dtype, channels_last if x is, else contiguous.
    Under autocast x and weight are cast to the autocast dtype first.
    Differentiable with respect to x and weight.

    Backend cpu uses Winograd's F(4x4, 3x3) (Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR
    2016) for large enough channels_last float32 batches whose numbers of channels are multiples of 16 (32 with
    AVX-512), and torch's convolution for all others. Its rounding error is below 4e-6 times the same convolution of
    |x| with |weight|, and an infinity or a NaN reaches the whole 4x4 tile whose 6x6 pixels hold it.
    Raises InputError for wrong shapes and dtypes.
    """
    _check.tensor("x", x, dims=4, dtypes=_check.FLOATS)
    _check.tensor("weight", weight, dims=4, dtypes=_check.FLOATS)
    if tuple(weight.shape[1:]) != (x.shape[1], 3, 3):
        raise InputError(f"weight must have shape (Cout, {x.shape[1]}, 3, 3) to fit x, not {tuple(weight.shape)}")
    _check.same_device(x=x, weight=weight)
    device = x.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        x, weight = x.to(dtype), weight.to(dtype)
    if x.dtype != weight.dtype:
        raise InputError(f"x and weight must have one dtype, not {x.dtype} and {weight.dtype}")
    return _convolution(x, weight, backend or "")
