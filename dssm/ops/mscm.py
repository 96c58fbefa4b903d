# SPDX-License-Identifier: Apache-2.0
"""Masked convolution, and the channel attention behind it."""

from __future__ import annotations

import torch

from dssm.errors import InputError
from dssm.layout import memory_format
from dssm.ops import _check
from dssm.ops._op import define

ACTIVATIONS = ("sigmoid", "relu", "none")


Attention = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def _fake(
    x: torch.Tensor, weight: torch.Tensor, _bias: torch.Tensor | None, squeeze: torch.Tensor | None, *_: object
) -> tuple[torch.Tensor, torch.Tensor]:
    size = (x.shape[0], weight.shape[1], *x.shape[2:])
    out = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=memory_format(x))
    kept = torch.float64 if x.dtype == torch.float64 else torch.float32
    return out, x.new_empty((0,) if squeeze is None else (2, *size[:2]), dtype=kept)


_mscm = define(
    "mscm",
    "(Tensor x, Tensor weight, Tensor? bias, Tensor? squeeze_weight, Tensor? squeeze_bias, Tensor? excite_weight, "
    "Tensor? excite_bias, int dilation, str activation, str backend) -> (Tensor, Tensor)",
    fake=_fake,
    differentiable=("x", "weight", "bias", "squeeze_weight", "squeeze_bias", "excite_weight", "excite_bias"),
    keeps_layout=True,
    saves_results=True,
)


def mscm(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    dilation: int = 2,
    activation: str = "sigmoid",
    attention: Attention | None = None,
    backend: str | None = None,
) -> torch.Tensor:
    """Masked convolution Z = f(sum_i W_i * K_i + b), K_i the corner windows of x padded by d zeros (eq. 6, 7).

    x: (B, C, H, W) floating, any strides.
    weight: (4, Cout, C, k, k) for the top-left, top-right, bottom-left and bottom-right windows, or
    (1, Cout, C, k, k) shared by all; k odd. The top-left window at (i, j) is x at (i - d, j - d).
    For k > 1 every window is convolved with zero "same" padding of its own.
    bias: (Cout,), the sum of the four, or None. dilation: d >= 1. activation f: "sigmoid", "relu" or "none".
    attention: None, or (W1, b1, W2, b2) of the channel attention that follows, of shapes (R, Cout), (R,), (Cout, R)
    and (Cout,): Z s, s = sigmoid(W2 relu(W1 z + b1) + b2), z (B, Cout) the mean of Z over its pixels (eq. 8).
    Returns (B, Cout, H, W) of x's dtype, channels_last if x is, else contiguous; so is the gradient of x.
    Under autocast all tensors are cast to the autocast dtype first.
    Differentiable with respect to x, weight, bias and attention.
    Backend cpu has kernels for k = 1 in float32, bfloat16 and float16, all summed in float32; float64, k > 1, and few
    channels in float32 (dssm/cpu/mscm.py) are left to the reference, one convolution of torch's. Backend triton has
    them for k = 1 in every dtype; on NVIDIA a product of float32 is three of tf32, or one where torch allows that.
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
    if attention is not None:
        _check_attention(attention, out)
    tensors = [x, weight, bias, *(attention or (None,) * 4)]
    given = {name: tensor for name, tensor in zip(_NAMES, tensors, strict=True) if tensor is not None}
    _check.same_device(**given)
    device = x.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        tensors = [None if tensor is None else tensor.to(dtype) for tensor in tensors]
    elif len({tensor.dtype for tensor in given.values()}) > 1:
        listed = ", ".join(f"{name} of {str(tensor.dtype).removeprefix('torch.')}" for name, tensor in given.items())
        raise InputError(f"all tensors must have one dtype, not {listed}")
    return _mscm(*tensors, dilation, activation, backend or "")[0]


_NAMES = ("x", "weight", "bias", *(f"attention[{i}]" for i in range(4)))


def _check_attention(attention: Attention, channels: int) -> None:
    if len(attention) != 4:
        raise InputError(f"attention must be four tensors (W1, b1, W2, b2), not {len(attention)}")
    for i, tensor in enumerate(attention):
        _check.tensor(f"attention[{i}]", tensor, dims=(2, 1, 2, 1)[i], dtypes=_check.FLOATS)
    hidden = attention[0].shape[0]
    for i, shape in enumerate([(hidden, channels), (hidden,), (channels, hidden), (channels,)]):
        _check.shape(f"attention[{i}]", attention[i], shape, "weight")
