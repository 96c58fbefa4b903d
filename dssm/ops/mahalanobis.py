# SPDX-License-Identifier: Apache-2.0
"""Mahalanobis distance."""
from __future__ import annotations

import torch

from dssm.ops import _check
from dssm.ops._op import define


def _fake(x: torch.Tensor, mean: torch.Tensor, whiten: torch.Tensor) -> torch.Tensor:
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    return x.new_empty((x.shape[0], *x.shape[2:]), dtype=dtype)


_mahalanobis = define(
    "mahalanobis",
    "(Tensor x, Tensor mean, Tensor whiten, str backend) -> Tensor",
    fake=_fake,
    differentiable=("x",),
)


def mahalanobis(
    x: torch.Tensor, mean: torch.Tensor, whiten: torch.Tensor, *, backend: str | None = None
) -> torch.Tensor:
    """Distance of features to Gaussians, d = || whiten (x - mean) || = sqrt((x - mean)^T S^-1 (x - mean)) (eq. 9).

    `whiten` is any W with W^T W = S^-1: the inverse of the Cholesky factor of the covariance S, or some of its rows.
    x (N, C), mean (C,), whiten (K, C) -> (N,).
    x (B, C, H, W) -> (B, H, W), with one Gaussian for all, mean (C,), whiten (K, C), or one per position,
    mean (H, W, C), whiten (H, W, K, C). All floating, any strides; mean and whiten are used in the computing dtype.
    Computes in and returns float32, or float64 if x is float64, also under autocast.
    Differentiable with respect to x, with gradient zero at distance zero.
    Raises InputError for wrong shapes and dtypes.
    """
    _check.tensor("x", x, dims=(2, 4), dtypes=_check.FLOATS)
    _check.tensor("mean", mean, dims=(1, 3) if x.ndim == 4 else 1, dtypes=_check.FLOATS)
    _check.tensor("whiten", whiten, dims=mean.ndim + 1, dtypes=_check.FLOATS)
    positions = tuple(x.shape[2:]) if mean.ndim == 3 else ()
    _check.shape("mean", mean, (*positions, x.shape[1]), "x")
    _check.shape("whiten", whiten, (*positions, whiten.shape[-2], x.shape[1]), "x")
    _check.same_device(x=x, mean=mean, whiten=whiten)
    with torch.autocast(x.device.type, enabled=False):
        return _mahalanobis(x, mean, whiten, backend or "")
