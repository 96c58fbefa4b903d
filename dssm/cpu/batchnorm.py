# SPDX-License-Identifier: Apache-2.0
"""Batch normalisation, addition and ReLU in two passes over channels_last maps (csrc/cpu/batchnorm.cpp)."""

from __future__ import annotations

import torch
from torch import Tensor

from dssm.cpu import array, lib, threads
from dssm.layout import memory_format
from dssm.reference import batchnorm as reference

_PANEL = lib.batchnorm_panel()


def batchnorm(
    x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None, eps: float, relu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """(B, C, H, W), (C,), (C,) -> y (B, C, H, W), mean (C,), 1 / sqrt(variance + eps) (C,)."""
    if not _fits(x, residual):
        return reference.batchnorm(x, weight, bias, residual, eps, relu)
    weight, bias = weight.contiguous(), bias.contiguous()
    y, mean, rstd = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
    lib.batchnorm(*map(array, (x, weight, bias, residual)), eps, relu, *map(array, (y, mean, rstd)), threads())
    return y, mean, rstd


def batchnorm_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    residual: Tensor | None,
    eps: float,
    relu: bool,
    y: Tensor,
    mean: Tensor,
    rstd: Tensor,
) -> list[Tensor]:
    """The gradients with respect to x, weight, bias and residual, where it is given."""
    if not _fits(x, residual):
        return reference.batchnorm_backward(grad, x, weight, bias, residual, eps, relu, y, mean, rstd)
    grad, weight = grad.contiguous(memory_format=torch.channels_last), weight.contiguous()
    grads = [torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)]
    if residual is not None:
        grads.append(torch.empty_like(x))
    inputs = (array(tensor) for tensor in (grad, x, weight))
    saved = (array(tensor) for tensor in (y, mean, rstd))
    results = [array(tensor) for tensor in grads] + [None] * (4 - len(grads))
    lib.batchnorm_backward(*inputs, relu, *saved, *results, threads())
    return grads


def _fits(x: Tensor, residual: Tensor | None) -> bool:
    if x.dtype != torch.float32 or x.shape[1] % _PANEL:
        return False
    return all(memory_format(maps) == torch.channels_last for maps in (x, residual) if maps is not None)
