# SPDX-License-Identifier: Apache-2.0
"""Mahalanobis distance."""

from __future__ import annotations

import torch

from dssm.ops import _check
from dssm.ops._op import define


def _fake(x: torch.Tensor, *_: object) -> torch.Tensor:
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
    """Mahalanobis distance d = || whiten (x - mean) || = sqrt((x - mean)^T S^-1 (x - mean)) (eq. 9).

    whiten is any W with W^T W = S^-1, such as the inverse of the Cholesky factor of the covariance S.
    x (N, C), mean (C,), whiten (K, C) -> (N,): points and one Gaussian.
    x (B, C, H, W), mean (C,), whiten (K, C) -> (B, H, W): maps and one Gaussian.
    x (B, C, H, W), mean (H, W, C), whiten (H, W, K, C) -> (B, H, W): one Gaussian per position.
    All floating, any strides. Computes in and returns float32, or float64 if x is float64; mean and whiten
    are cast to that, and autocast changes nothing. Backend triton makes a product of float32 from three of tf32 on
    NVIDIA, which is about as exact, whatever torch allows.
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
    return _mahalanobis(x, mean, whiten, backend or "")
