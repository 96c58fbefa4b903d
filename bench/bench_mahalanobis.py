# SPDX-License-Identifier: Apache-2.0
"""Mahalanobis distances of feature maps to one Gaussian per position, and to one Gaussian for all.

anomalib's formula is d^2 = delta^T S^-1 delta as a product per position with the inverse covariance, of full size.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dssm import ops

from . import distance_peers
from .conftest import Timed, name_of, role_of
from .floors import memcpy, multiply_adds, size

POSITION, SHARED = "C=100 64x64", "C=100 64x64, one Gaussian"
cases = pytest.mark.parametrize("case", [POSITION, SHARED])
CHANNELS, SIDE = 100, 64


@pytest.fixture(scope="module")
def x(batch: int) -> Tensor:
    return torch.randn(batch, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def gaussians() -> dict[str, tuple[Tensor, Tensor]]:
    """(mean, whitening) per case; lower triangles, as Cholesky factors leave them."""
    generator = torch.Generator().manual_seed(1)
    mean = torch.randn(SIDE, SIDE, CHANNELS, generator=generator)
    noise = torch.randn(SIDE, SIDE, CHANNELS, CHANNELS, generator=generator) / CHANNELS
    whiten = (noise + torch.eye(CHANNELS)).tril_()
    return {POSITION: (mean, whiten), SHARED: (mean[0, 0].clone(), whiten[0, 0].clone())}


@cases
def bench_dssm(timed: Timed, x: Tensor, gaussians: dict, case: str, backend: str) -> None:
    mean, whiten = gaussians[case]
    timed(case, name_of(backend), lambda: ops.mahalanobis(x, mean, whiten, backend=backend), role_of(backend))


def bench_anomalib(timed: Timed, x: Tensor, gaussians: dict) -> None:
    mean, whiten = gaussians[POSITION]
    inverse = (whiten.mT @ whiten).flatten(0, 1)
    timed(POSITION, "anomalib's formula", lambda: distance_peers.inverse(x, mean.flatten(0, 1), inverse), "rival")


def bench_anomalib_shared(timed: Timed, x: Tensor, gaussians: dict) -> None:
    mean, whiten = gaussians[SHARED]
    inverse = whiten.T @ whiten

    def distance() -> Tensor:
        delta = x.movedim(1, -1) - mean
        return ((delta @ inverse) * delta).sum(-1).clamp(min=0).sqrt()

    timed(SHARED, "inverse covariance", distance, "rival")


def bench_whitened(timed: Timed, x: Tensor, gaussians: dict) -> None:
    timed(POSITION, "whitened bmm", lambda: distance_peers.whitened(x, *gaussians[POSITION]))


@cases
def bench_memcpy(timed: Timed, x: Tensor, gaussians: dict, case: str) -> None:
    """x, and of the whitening matrices the triangle."""
    mean, whiten = gaussians[case]
    timed(case, "memcpy", memcpy(size(x, x[:, 0], mean) + size(whiten) // 2), "floor")


@cases
def bench_peak(timed: Timed, x: Tensor, case: str) -> None:
    timed(case, "sgemm", multiply_adds(len(x) * SIDE**2 * CHANNELS * (CHANNELS + 1) / 2), "floor")
