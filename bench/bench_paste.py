# SPDX-License-Identifier: Apache-2.0
"""Whole PasteNoise: noise, threshold, largest component and blend; then with the RandAugment of its source."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from dssm import ops
from dssm.reference.augment import plan

from . import noise_peers
from .conftest import Timed, name_of, role_of
from .floors import memcpy, size
from .inputs import pictures

AUGMENTED = "256x256 uint8 with augment"
dtypes = pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=["uint8", "float32"])


def case(dtype: torch.dtype) -> str:
    return f"256x256 {str(dtype).removeprefix('torch.')}"


@dtypes
def bench_dssm(timed: Timed, images: torch.Tensor, sources: torch.Tensor, dtype: torch.dtype, backend: str) -> None:
    image, source, index = images.to(dtype), sources.to(dtype), torch.arange(len(images))
    timed(
        case(dtype),
        name_of(backend),
        lambda: ops.paste(image, source, index, seed=0, backend=backend),
        role_of(backend),
    )


def bench_dssm_augmented(timed: Timed, images: torch.Tensor, sources: torch.Tensor, backend: str) -> None:
    index = torch.arange(len(images))

    def call() -> object:
        source = ops.augment(sources, index, seed=0, backend=backend)
        return ops.paste(images, source, index, seed=0, backend=backend)

    timed(AUGMENTED, name_of(backend), call, role_of(backend))


@dtypes
def bench_draem(timed: Timed, images: torch.Tensor, sources: torch.Tensor, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(0)
    pairs = list(zip(pictures(images.to(dtype)), pictures(sources.to(dtype)), strict=True))
    timed(case(dtype), "DRAEM in NumPy", lambda: [noise_peers.paste(*pair, rng) for pair in pairs], "rival")


def bench_draem_augmented(timed: Timed, images: torch.Tensor, sources: torch.Tensor) -> None:
    rng = np.random.default_rng(0)
    plans = zip(*(part.tolist() for part in plan(torch.arange(len(images)), 0, 3)), strict=True)
    work = list(zip(pictures(images), map(Image.fromarray, pictures(sources)), plans, strict=True))

    def call() -> object:
        return [
            noise_peers.paste(image, np.asarray(noise_peers.randaugment(source, *draw)), rng)
            for image, source, draw in work
        ]

    timed(AUGMENTED, "DRAEM in NumPy, Pillow", call, "rival")


@dtypes
def bench_memcpy(timed: Timed, images: torch.Tensor, dtype: torch.dtype) -> None:
    image = images.to(dtype)
    timed(case(dtype), "memcpy", memcpy(size(image, image, images[:, 0])), "floor")


def bench_memcpy_augmented(timed: Timed, images: torch.Tensor) -> None:
    timed(AUGMENTED, "memcpy", memcpy(size(images, images, images[:, 0])), "floor")
