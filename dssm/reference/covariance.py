# SPDX-License-Identifier: Apache-2.0
"""Mean and scatter of a stream of feature vectors."""

from __future__ import annotations

import torch


def covariance(x: torch.Tensor, mean: torch.Tensor, scatter: torch.Tensor, count: int) -> None:
    """Add n vectors to the mean and scatter S of `count` others, in place (Chan, Golub, LeVeque 1979).

    With delta = mean_x - mean: S += sum (x - mean_x)(x - mean_x)^T + delta delta^T count n / (count + n), and
    mean += delta n / (count + n). (N, C) or, one Gaussian per position, (B, C, H, W); all in float64.
    """
    x = x.double()
    if x.ndim == 4:
        x = x.permute(2, 3, 0, 1)  # (H, W, B, C)
    if not x.shape[-2]:
        return
    share = x.shape[-2] / (count + x.shape[-2])
    batch_mean = x.mean(-2)
    centred = x - batch_mean.unsqueeze(-2)
    delta = batch_mean - mean
    scatter += centred.mT @ centred
    scatter += delta.unsqueeze(-1) * delta.unsqueeze(-2) * (count * share)
    mean += delta * share
