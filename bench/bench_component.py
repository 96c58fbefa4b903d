# SPDX-License-Identifier: Apache-2.0
"""The largest component of 32 masks of Perlin noise. Every peer labels 8-connected regions and selects the largest."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dssm import ops

from . import noise_peers
from .conftest import Timed, name_of, role_of
from .floors import memcpy

CASE = "256x256"


def bench_dssm(timed: Timed, noise_masks: np.ndarray, backend: str) -> None:
    batch = torch.from_numpy(noise_masks)
    timed(CASE, name_of(backend), lambda: ops.component(batch, backend=backend), role_of(backend))


def bench_opencv(timed: Timed, noise_masks: np.ndarray, threads: int) -> None:
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(threads)

    def largest(mask: np.ndarray) -> np.ndarray:
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        if count == 1:
            return mask
        return labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()

    planes = list(noise_masks.view(np.uint8))
    timed(CASE, "cv2 with stats", lambda: [largest(plane) for plane in planes], "rival")


def bench_scipy(timed: Timed, noise_masks: np.ndarray) -> None:
    timed(CASE, "SciPy", lambda: [noise_peers.largest(plane) for plane in noise_masks])


def bench_scikit_image(timed: Timed, noise_masks: np.ndarray) -> None:
    measure = pytest.importorskip("skimage.measure")

    def largest(mask: np.ndarray) -> np.ndarray:
        labels = measure.label(mask, connectivity=2)
        return labels == 1 + np.bincount(labels.ravel(), minlength=2)[1:].argmax()

    timed(CASE, "scikit-image", lambda: [largest(plane) for plane in noise_masks])


def bench_cc3d(timed: Timed, noise_masks: np.ndarray) -> None:
    cc3d = pytest.importorskip("cc3d")
    timed(CASE, "cc3d", lambda: [cc3d.largest_k(plane, k=1, connectivity=8) for plane in noise_masks])


def bench_kornia_rs(timed: Timed, noise_masks: np.ndarray) -> None:
    imgproc = pytest.importorskip("kornia_rs.imgproc")

    def largest(mask: np.ndarray) -> np.ndarray:
        labels = imgproc.connected_components(mask, 8)[1]
        return labels == 1 + np.bincount(labels.ravel(), minlength=2)[1:].argmax()

    planes = list(noise_masks.view(np.uint8)[..., None])
    timed(CASE, "kornia-rs", lambda: [largest(plane) for plane in planes])


def bench_memcpy(timed: Timed, noise_masks: np.ndarray) -> None:
    timed(CASE, "memcpy", memcpy(2 * noise_masks.nbytes), "floor")
