# SPDX-License-Identifier: Apache-2.0
"""Batch normalisation with the addition and the ReLU that follow it in a residual network."""

from __future__ import annotations

import torch

from dssm.errors import InputError
from dssm.layout import memory_format
from dssm.ops import _check
from dssm.ops._op import define

Normalized = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _fake(x: torch.Tensor, weight: torch.Tensor, *_: object) -> Normalized:
    y = torch.empty_like(x, memory_format=memory_format(x))
    return y, torch.empty_like(weight), torch.empty_like(weight)


_batchnorm = define(
    "batchnorm",
    "(Tensor x, Tensor weight, Tensor bias, Tensor? residual, float eps, bool relu, str backend) "
    "-> (Tensor, Tensor, Tensor)",
    fake=_fake,
    differentiable=("x", "weight", "bias", "residual"),
    keeps_layout=True,
    saves_results=True,
)


def batchnorm(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    residual: torch.Tensor | None = None,
    *,
    eps: float = 1e-5,
    relu: bool = True,
    backend: str | None = None,
) -> Normalized:
    """y = f(weight (x - m) r + bias + residual), m the mean and r = 1 / sqrt(v + eps) per channel, v the variance.

    Batch normalisation as in training (Ioffe and Szegedy, ICML 2015): m and v are over the batch and both axes of the
    maps, v divided by their number. f is ReLU, or the identity without `relu`.
    x: (B, C, H, W) floating, any strides, at least one value per channel. residual: the same, or None.
    weight, bias: (C,) float32, or float64 with a float64 x.
    Returns (y, m, r): y of x's dtype, channels_last if x is, else contiguous; m and r (C,), of weight's dtype.
    Sums are accumulated in float64 (cpu) or as torch does (reference). Autocast changes nothing.
    y is differentiable with respect to x, weight, bias and residual; m and r are not differentiable.
    Raises InputError for wrong shapes and dtypes.
    """
    _check.tensor("x", x, dims=4, dtypes=_check.FLOATS)
    statistics = torch.float64 if x.dtype == torch.float64 else torch.float32
    for name, value in (("weight", weight), ("bias", bias)):
        _check.tensor(name, value, dims=1, dtypes=(statistics,))
        _check.shape(name, value, x.shape[1:2], "x")
    if residual is not None:
        _check.tensor("residual", residual, dims=4, dtypes=(x.dtype,))
        _check.shape("residual", residual, x.shape, "x")
    if x.numel() == 0:
        raise InputError(f"x must have at least one value per channel to normalise, not shape {tuple(x.shape)}")
    _check.same_device(x=x, weight=weight, bias=bias, residual=residual)
    return _batchnorm(x, weight, bias, residual, eps, relu, backend or "")
