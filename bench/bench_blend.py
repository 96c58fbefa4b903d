# SPDX-License-Identifier: Apache-2.0
"""Equation 3 on 32 images with the masks of PasteNoise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dssm import ops

from . import noise_peers
from .conftest import Timed, name_of, role_of
from .floors import memcpy, size
from .inputs import pictures

dtypes = pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=["uint8", "float32"])


@pytest.fixture(scope="module")
def mask(noise_masks: np.ndarray) -> torch.Tensor:
    return ops.component(torch.from_numpy(noise_masks))


def case(dtype: torch.dtype) -> str:
    return f"256x256 {str(dtype).removeprefix('torch.')}"


@dtypes
def bench_dssm(
    timed: Timed, images: torch.Tensor, sources: torch.Tensor, mask: torch.Tensor, dtype: torch.dtype, backend: str
) -> None:
    image, source, alpha = images.to(dtype), sources.to(dtype), torch.full((len(images),), 0.7)
    timed(
        case(dtype),
        name_of(backend),
        lambda: ops.blend(image, source, mask, alpha, backend=backend),
        role_of(backend),
    )


@dtypes
def bench_numpy(
    timed: Timed, images: torch.Tensor, sources: torch.Tensor, mask: torch.Tensor, dtype: torch.dtype
) -> None:
    work = list(zip(pictures(images.to(dtype)), pictures(sources.to(dtype)), mask.numpy(), strict=True))
    timed(case(dtype), "numpy", lambda: [noise_peers.blend(*three, 0.7) for three in work], "rival")


@dtypes
def bench_memcpy(timed: Timed, images: torch.Tensor, mask: torch.Tensor, dtype: torch.dtype) -> None:
    image = images.to(dtype)
    timed(case(dtype), "memcpy", memcpy(size(image, image, mask)), "floor")
