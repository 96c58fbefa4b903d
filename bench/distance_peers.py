# SPDX-License-Identifier: Apache-2.0
"""Mahalanobis distances to one Gaussian per position as PyTorch code writes them."""

from __future__ import annotations

import torch
from torch import Tensor


def inverse(x: Tensor, mean: Tensor, covariance_inverse: Tensor) -> Tensor:
    """sqrt(delta^T S^-1 delta) by a batched product, as anomalib publishes it.

    (B, C, H, W), (HW, C), (HW, C, C) -> (B, H, W).
    """
    delta = x.flatten(2).permute(2, 0, 1) - mean.unsqueeze(1)  # (HW, B, C)
    square = (torch.matmul(delta, covariance_inverse) * delta).sum(2)
    return square.clamp(min=0).sqrt().T.unflatten(1, x.shape[2:])


def whitened(x: Tensor, mean: Tensor, whiten: Tensor) -> Tensor:
    """|| L^-1 delta || by a batched product. (B, C, H, W), (H, W, C), (H, W, C, C) -> (B, H, W)."""
    delta = x.flatten(2).permute(2, 1, 0) - mean.flatten(0, 1).unsqueeze(2)  # (HW, C, B)
    return torch.bmm(whiten.flatten(0, 1), delta).norm(dim=1).T.unflatten(1, x.shape[2:])
