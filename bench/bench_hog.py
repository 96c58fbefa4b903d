# SPDX-License-Identifier: Apache-2.0
"""HOG in both modes, each beside the library that it equals, and the target of training: resize to 64x128, then HOG."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from dssm import ops
from dssm.training.batch import HOG_WINDOW, make_targets

from .conftest import Timed, name_of, role_of
from .floors import memcpy, size
from .inputs import photographs, pictures

SIZES = {"64x128": (128, 64), "256x256": (256, 256)}  # width x height, as Dalal and Triggs write it: rows, columns
DTYPES = {"uint8": torch.uint8, "float32": torch.float32}
TARGET = "target of 256x256 uint8"
modes = pytest.mark.parametrize("mode", ["skimage", "opencv"])
sizes = pytest.mark.parametrize("size_name", SIZES)
dtypes = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture
def pixels(batch: int, size_name: str, dtype: str) -> torch.Tensor:
    return torch.from_numpy(photographs(batch, *SIZES[size_name])).to(DTYPES[dtype])


def skimage_hog() -> Callable[[np.ndarray], np.ndarray]:
    hog = pytest.importorskip("skimage.feature").hog
    return lambda picture: hog(picture, pixels_per_cell=(8, 8), cells_per_block=(2, 2), channel_axis=-1)


@modes
@sizes
@dtypes
def bench_dssm(timed: Timed, pixels: torch.Tensor, mode: str, size_name: str, dtype: str, backend: str) -> None:
    timed(
        f"{mode} {size_name} {dtype}",
        name_of(backend),
        lambda: ops.hog(pixels, mode=mode, backend=backend),
        role_of(backend),
    )


def bench_dssm_target(timed: Timed, images: torch.Tensor) -> None:
    timed(TARGET, "dssm", lambda: make_targets(images, "hog"), "ours")


@sizes
@dtypes
def bench_scikit_image(timed: Timed, pixels: torch.Tensor, size_name: str, dtype: str) -> None:
    hog, work = skimage_hog(), pictures(pixels)
    timed(f"skimage {size_name} {dtype}", "scikit-image", lambda: [hog(picture) for picture in work], "rival")


def bench_scikit_image_target(timed: Timed, images: torch.Tensor) -> None:
    hog, work = skimage_hog(), [Image.fromarray(picture) for picture in pictures(images)]

    def target(picture: Image.Image) -> np.ndarray:
        return hog(np.asarray(picture.resize(HOG_WINDOW[::-1], Image.Resampling.BILINEAR)))

    timed(TARGET, "Pillow, scikit-image", lambda: [target(picture) for picture in work], "rival")


@sizes
@dtypes
def bench_opencv(timed: Timed, pixels: torch.Tensor, size_name: str, dtype: str, threads: int) -> None:
    """cv2 takes bytes only, so the float32 case has it on the same pixels as uint8."""
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2, "HOGDescriptor"):
        pytest.skip(f"cv2 {cv2.__version__} has no HOGDescriptor; install opencv-python-headless<5")
    cv2.setNumThreads(threads)
    work = pictures(pixels.to(torch.uint8))
    descriptor = cv2.HOGDescriptor(SIZES[size_name][::-1], (16, 16), (8, 8), (8, 8), 9)
    system = "cv2" if dtype == "uint8" else "cv2 (uint8)"
    timed(f"opencv {size_name} {dtype}", system, lambda: [descriptor.compute(picture) for picture in work], "rival")


@modes
@sizes
@dtypes
def bench_memcpy(timed: Timed, pixels: torch.Tensor, mode: str, size_name: str, dtype: str) -> None:
    timed(f"{mode} {size_name} {dtype}", "memcpy", memcpy(size(pixels, ops.hog(pixels))), "floor")


def bench_memcpy_target(timed: Timed, images: torch.Tensor) -> None:
    targets = make_targets(images, "hog")
    assert targets is not None
    timed(TARGET, "memcpy", memcpy(size(images, targets)), "floor")
