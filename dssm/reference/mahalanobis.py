# SPDX-License-Identifier: Apache-2.0
"""Mahalanobis distance to a Gaussian (eq. 9)."""

from __future__ import annotations

import torch


def mahalanobis(x: torch.Tensor, mean: torch.Tensor, whiten: torch.Tensor) -> torch.Tensor:
    """d = sqrt((x - mu)^T S^-1 (x - mu)) = || L^-1 (x - mu) || for S = L L^T, so whiten = L^-1.

    (N, C) -> (N,), (B, C, H, W) -> (B, H, W). Points that share a Gaussian share one matrix product.
    """
    compute = torch.float64 if x.dtype == torch.float64 else torch.float32
    x, mean, whiten = x.to(compute), mean.to(compute), whiten.to(compute)
    if mean.ndim == 3:
        centred = x.permute(2, 3, 1, 0) - mean[..., None]  # (H, W, C, B)
        return torch.linalg.vector_norm(whiten @ centred, dim=2).permute(2, 0, 1).contiguous()
    centred = x.movedim(1, -1) - mean
    return torch.linalg.vector_norm(centred @ whiten.T, dim=-1)
