# SPDX-License-Identifier: Apache-2.0
"""Batch normalisation, addition and ReLU as torch computes them."""

from __future__ import annotations

import torch

from dssm.layout import memory_format


def batchnorm(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, residual: torch.Tensor | None, eps: float, relu: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(B, C, H, W), (C,), (C,) -> y (B, C, H, W), mean (C,), 1 / sqrt(variance + eps) (C,)."""
    y, mean, rstd = torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
    if residual is not None:
        y = y + residual
    if relu:
        y = y.relu()
    return y.contiguous(memory_format=memory_format(x)), mean, rstd


def batchnorm_backward(
    grad: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,  # noqa: ARG001, its gradient needs no value
    residual: torch.Tensor | None,
    eps: float,
    relu: bool,
    y: torch.Tensor,
    mean: torch.Tensor,
    rstd: torch.Tensor,
) -> list[torch.Tensor]:
    """The gradients with respect to x, weight, bias and residual, where it is given."""
    flow = torch.where(y > 0, grad, 0) if relu else grad
    mask = [True, True, True]
    grads = torch.ops.aten.native_batch_norm_backward(flow, x, weight, None, None, mean, rstd, True, eps, mask)
    return [*grads, *([] if residual is None else [flow])]
