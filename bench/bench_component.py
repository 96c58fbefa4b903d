# SPDX-License-Identifier: Apache-2.0
"""The largest component of 32 masks of Perlin noise: `make bench`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from dssm import ops

pytestmark = pytest.mark.benchmark(group="component 32x256x256")


@pytest.fixture(scope="module")
def masks() -> torch.Tensor:
    return ops.perlin(torch.arange(32), (256, 256), seed=0) > 0.5


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def bench_dssm(benchmark: BenchmarkFixture, masks: torch.Tensor, backend: str) -> None:
    benchmark(lambda: ops.component(masks, backend=backend))


def bench_scipy(benchmark: BenchmarkFixture, masks: torch.Tensor) -> None:
    from scipy.ndimage import label

    def largest(mask: np.ndarray) -> np.ndarray:
        labels, count = label(mask, structure=np.ones((3, 3)))
        if count == 0:
            return mask
        return labels == 1 + np.bincount(labels.ravel())[1:].argmax()

    planes = list(masks.numpy())
    benchmark(lambda: [largest(plane) for plane in planes])


def bench_opencv(benchmark: BenchmarkFixture, masks: torch.Tensor) -> None:
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(1)

    def largest(mask: np.ndarray) -> np.ndarray:
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        if count == 1:
            return mask
        return labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()

    planes = list(masks.numpy().astype(np.uint8))
    benchmark(lambda: [largest(plane) for plane in planes])
