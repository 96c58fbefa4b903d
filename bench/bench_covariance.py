# SPDX-License-Identifier: Apache-2.0
"""The streaming mean and covariance of features, float64: one Gaussian, and one per position."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dssm.scores.gaussian import Moments

from .conftest import Timed
from .floors import memcpy, multiply_adds, size

SHARED, POSITION = "C=448, one Gaussian", "C=100 32x32"


@pytest.fixture(scope="module")
def pooled(batch: int) -> Tensor:
    """32 feature vectors per image: what a small map gives."""
    return torch.randn(32 * batch, 448, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def maps(batch: int) -> Tensor:
    return torch.randn(batch, 100, 32, 32, generator=torch.Generator().manual_seed(0))


def bench_dssm_shared(timed: Timed, pooled: Tensor) -> None:
    timed(SHARED, "dssm", lambda: Moments().update(pooled), "ours")


def bench_dssm_position(timed: Timed, maps: Tensor) -> None:
    timed(POSITION, "dssm", lambda: Moments().update(maps), "ours")


def bench_numpy_shared(timed: Timed, pooled: Tensor) -> None:
    values = pooled.numpy()
    timed(SHARED, "numpy.cov", lambda: np.cov(values, rowvar=False, dtype=np.float64), "rival")


def bench_scikit_learn_shared(timed: Timed, pooled: Tensor) -> None:
    covariance = pytest.importorskip("sklearn.covariance")
    values = pooled.double().numpy()
    timed(SHARED, "scikit-learn", lambda: covariance.empirical_covariance(values))


def bench_numpy_position(timed: Timed, maps: Tensor) -> None:
    """PaDiM's way: one covariance after the other."""
    values = maps.flatten(2).numpy()

    def covariances() -> list[np.ndarray]:
        return [np.cov(values[:, :, i], rowvar=False, dtype=np.float64) for i in range(values.shape[2])]

    timed(POSITION, "numpy.cov per position", covariances, "rival")


def bench_torch_position(timed: Timed, maps: Tensor) -> None:
    """anomalib's way, in float32."""
    values = maps.flatten(2)

    def covariances() -> list[Tensor]:
        return [torch.cov(values[:, :, i].T) for i in range(values.shape[2])]

    timed(POSITION, "torch.cov per position (float32)", covariances)


def bench_peak_shared(timed: Timed, pooled: Tensor) -> None:
    """The lower triangle: the covariance is symmetric."""
    timed(SHARED, "dgemm", multiply_adds(len(pooled) * 448 * 449 / 2, torch.float64), "floor")


def bench_peak_position(timed: Timed, maps: Tensor) -> None:
    timed(POSITION, "dgemm", multiply_adds(len(maps) * 1024 * 100 * 101 / 2, torch.float64), "floor")


def bench_memcpy_position(timed: Timed, maps: Tensor) -> None:
    """The maps, and a float64 triangle per position, read and written: it is a running sum."""
    timed(POSITION, "memcpy", memcpy(size(maps) + 2 * 1024 * 8 * 100 * 101 // 2), "floor")
