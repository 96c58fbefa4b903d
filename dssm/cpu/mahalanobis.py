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
