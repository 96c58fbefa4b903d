# SPDX-License-Identifier: Apache-2.0
"""Streaming mean and covariance."""

from __future__ import annotations

import torch

from dssm.errors import InputError
from dssm.ops import _check
from dssm.ops._op import define

_covariance = define(
    "covariance",
    "(Tensor x, Tensor(a!) mean, Tensor(b!) scatter, int count, str backend) -> ()",
    fake=lambda *_: None,
)


def covariance(
    x: torch.Tensor,
    mean: torch.Tensor | None = None,
    scatter: torch.Tensor | None = None,
    count: int = 0,
    *,
    backend: str | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean m and scatter S = sum (x - m)(x - m)^T of feature vectors, added to those of `count` earlier ones.

    x (N, C) -> mean (C,), scatter (C, C): vectors and one Gaussian.
    x (B, C, H, W) -> mean (H, W, C), scatter (H, W, C, C): one Gaussian per position.
    x floating, any strides; mean and scatter float64, and so is every sum. S / n is the covariance.
    Only the lower triangle of S is meant; what stands above its diagonal is not specified.
    Returns (mean, scatter): new ones, or, where both are given, those, updated in place. Not differentiable.
    Raises InputError for wrong shapes, dtypes and counts.
    Source: Chan, Golub, LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979.
    """
    _check.tensor("x", x, dims=(2, 4), dtypes=_check.FLOATS)
    if (mean is None) != (scatter is None):
        raise InputError("mean and scatter belong together: pass both or neither")
    if not isinstance(count, int) or count < 0 or (count > 0 and mean is None):
        raise InputError(f"count must be the number of vectors that mean and scatter are of, not {count!r}")
    size = (*x.shape[2:], x.shape[1])
    if mean is None or scatter is None:
        mean = x.new_zeros(size, dtype=torch.float64)
        scatter = x.new_zeros((*size, x.shape[1]), dtype=torch.float64)
    else:
        for name, value, wanted in (("mean", mean, size), ("scatter", scatter, (*size, x.shape[1]))):
            _check.tensor(name, value, dims=len(wanted), dtypes=(torch.float64,))
            _check.shape(name, value, wanted, "x")
            if not value.is_contiguous():
                raise InputError(f"{name} must be contiguous, because it is updated in place; pass {name}.contiguous()")
        _check.same_device(x=x, mean=mean, scatter=scatter)
    _covariance(x.detach(), mean, scatter, count, backend or "")
    return mean, scatter
