# SPDX-License-Identifier: Apache-2.0
"""HOG of 32 RGB windows of 64x128: `make bench`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from skimage.feature import hog as skimage_hog

from dssm import ops

pytestmark = pytest.mark.benchmark(group="hog 32x3x128x64 uint8")


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("mode", ["skimage", "opencv"])
def bench_dssm(benchmark: BenchmarkFixture, images: np.ndarray, mode: str, backend: str) -> None:
    batch = torch.from_numpy(images)
    benchmark(lambda: ops.hog(batch, mode=mode, backend=backend))


def bench_scikit_image(benchmark: BenchmarkFixture, images: np.ndarray) -> None:
    pictures = list(images.transpose(0, 2, 3, 1))
    settings = {"pixels_per_cell": (8, 8), "cells_per_block": (2, 2), "channel_axis": -1}
    benchmark(lambda: [skimage_hog(picture, **settings) for picture in pictures])


def bench_opencv(benchmark: BenchmarkFixture, images: np.ndarray) -> None:
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(1)
    pictures = [np.ascontiguousarray(picture) for picture in images.transpose(0, 2, 3, 1)]
    descriptor = cv2.HOGDescriptor((64, 128), (16, 16), (8, 8), (8, 8), 9)
    benchmark(lambda: [descriptor.compute(picture) for picture in pictures])
