# SPDX-License-Identifier: Apache-2.0
"""Whitening fused with the norm (csrc/cpu/mahalanobis.cpp)."""

from __future__ import annotations

import torch

from dssm.cpu import array, lib, threads


def mahalanobis(x: torch.Tensor, mean: torch.Tensor, whiten: torch.Tensor) -> torch.Tensor:
    """(N, C) -> (N,), (B, C, H, W) -> (B, H, W)."""
    mean, whiten = _gaussian(x, mean, whiten)
    out = mean.new_empty((x.shape[0], *x.shape[2:]))
    lib.mahalanobis(array(x), array(mean), array(whiten), array(out), threads())
    return out


def prepare(whiten: torch.Tensor) -> torch.Tensor | None:
    """What `prepared` needs of matrices (H, W, C, C) that stay; None unless they are lower triangles in float32."""
    height, width, rows, columns = whiten.shape
    if whiten.dtype != torch.float32 or rows != columns or not torch.equal(whiten, whiten.tril()):
        return None
    whiten = whiten if whiten.stride(-1) == 1 else whiten.contiguous()
    triangles = torch.empty(height, width, lib.mahalanobis_triangle(columns))
    lib.mahalanobis_prepare(array(whiten), array(triangles), threads())
    return triangles


def prepared(x: torch.Tensor, mean: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
    """`mahalanobis` of x (B, C, H, W), without gradient, with what `prepare` made of the whitening."""
    out = mean.new_empty((x.shape[0], *x.shape[2:]))
    lib.mahalanobis_prepared(array(x), array(mean.contiguous()), array(triangles), array(out), threads())
    return out


def mahalanobis_backward(
    grad: torch.Tensor, x: torch.Tensor, mean: torch.Tensor, whiten: torch.Tensor
) -> list[torch.Tensor]:
    """The gradient with respect to x."""
    mean, whiten = _gaussian(x, mean, whiten)
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    grad = grad.contiguous()
    lib.mahalanobis_backward(array(grad), array(x), array(mean), array(whiten), array(out), threads())
    return [out]


def _gaussian(x: torch.Tensor, mean: torch.Tensor, whiten: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """In what x is computed in, the channels of a row side by side."""
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    mean, whiten = mean.to(dtype), whiten.to(dtype)
    return (
        mean if mean.stride(-1) == 1 else mean.contiguous(),
        whiten if whiten.stride(-1) == 1 else whiten.contiguous(),
    )
