# SPDX-License-Identifier: Apache-2.0
"""Gaussians of good features, accumulated in one pass (paper, eq. 9)."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from dssm import backends, ops
from dssm.errors import InputError


@dataclass
class Gaussian:
    """Mean (*P, C) and whitening matrix (*P, C, C), P the positions, empty for one shared Gaussian; both float32."""

    mean: Tensor
    whiten: Tensor

    def distance(self, x: Tensor) -> Tensor:
        """Mahalanobis distances (eq. 9): x (N, C) -> (N,), or (B, C, H, W) -> (B, H, W)."""
        return ops.mahalanobis(x, self.mean, self.whiten)

    def for_scoring(self) -> Gaussian:
        """The same, with what makes distances without gradient faster worked out beforehand, where there is such."""
        name, kernels = backends.choose("mahalanobis", self.whiten.device)
        if name != "cpu" or self.whiten.ndim != 4 or (triangles := kernels.prepare(self.whiten)) is None:
            return self
        return _Prepared(self.mean, self.whiten, triangles, kernels)


@dataclass
class _Prepared(Gaussian):
    triangles: Tensor
    kernels: ModuleType

    def distance(self, x: Tensor) -> Tensor:
        return self.kernels.prepared(x, self.mean, self.triangles)


class Moments:
    """Count, mean and scatter of a stream of feature vectors in float64; mergeable (Chan, Golub, LeVeque 1979).

    n = n_a + n_b, delta = mean_b - mean_a, mean = mean_a + delta n_b / n,
    S = S_a + S_b + delta delta^T n_a n_b / n, with S = sum (x - mean)(x - mean)^T.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor | None = None  # (*P, C)
        self._scatter: Tensor | None = None  # (*P, C, C), of which only the lower triangle counts

    @property
    def scatter(self) -> Tensor | None:
        """S (*P, C, C)."""
        return None if self._scatter is None else self._scatter.tril() + self._scatter.tril(-1).mT

    def update(self, x: Tensor) -> None:
        """Add vectors: (N, C), or (B, C, H, W) with one Gaussian per position."""
        if len(x):
            self.mean, self._scatter = ops.covariance(x, self.mean, self._scatter, self.count)
            self.count += len(x)

    def merge(self, other: Moments) -> None:
        """Add all that another accumulator has seen."""
        if other.mean is None or other._scatter is None:
            return
        if self.mean is None or self._scatter is None:
            self.count, self.mean, self._scatter = other.count, other.mean.clone(), other._scatter.clone()
            return
        count = self.count + other.count
        delta = other.mean - self.mean
        share = other.count / count
        self._scatter += other._scatter
        self._scatter += delta.unsqueeze(-1) * delta.unsqueeze(-2) * (self.count * share)
        self.mean += delta * share
        self.count = count

    def gaussian(self, ridge: float | None = None) -> Gaussian:
        """Mean and whitening matrix L^-1 of the covariance L L^T, shrunk towards a multiple of the identity.

        The amount of shrinkage is the oracle approximation (OAS) of Chen, Wiesel, Eldar and Hero 2010, which needs
        nothing but the covariance and the count. With `ridge` the covariance is S / (n - 1) + ridge v I instead, v
        the mean variance over all channels and positions. Raises InputError for fewer than two vectors, and for values
        that are not finite.
        """
        scatter = self.scatter
        if self.mean is None or scatter is None or self.count < 2:
            raise InputError(f"a Gaussian needs at least 2 good feature vectors, not {self.count}")
        covariance = scatter / self.count
        if not torch.isfinite(covariance).all():
            raise InputError(
                "the features of the good images are not finite: the training diverged or an input holds NaN"
            )
        channels = covariance.shape[-1]
        identity = torch.eye(channels, dtype=covariance.dtype, device=covariance.device)
        variance = covariance.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]  # (*P, 1, 1)
        if ridge is None:
            amount = oas_shrinkage(covariance, self.count)[..., None, None]
            covariance = (1 - amount) * covariance + amount * variance * identity
        else:
            covariance = covariance * (self.count / (self.count - 1)) + ridge * variance.mean() * identity
        # A channel that never varies leaves the covariance singular: a floor far below every real variance.
        floor = 1e-6 * variance.clamp_min(torch.finfo(torch.float32).tiny)
        factor = torch.linalg.cholesky(covariance + floor * identity)
        whiten = torch.linalg.solve_triangular(factor, identity.expand_as(factor), upper=False)
        return Gaussian(self.mean.float(), whiten.float().contiguous())


def oas_shrinkage(covariance: Tensor, count: int) -> Tensor:
    """The share of the scaled identity in the OAS estimate, in [0, 1]; covariance (*P, C, C) of `count` vectors.

    rho = (tr(S^2) + tr(S)^2) / ((n + 1) (tr(S^2) - tr(S)^2 / p)), at most 1: eq. 23 of the source above without its
    terms in 2 / p, which is what scikit-learn computes.
    """
    trace = covariance.diagonal(dim1=-2, dim2=-1).sum(-1)
    square = covariance.square().sum((-2, -1))
    spread = (count + 1) * (square - trace.square() / covariance.shape[-1])
    return torch.where(spread > 0, (square + trace.square()) / spread, 1.0).clamp(max=1.0)
