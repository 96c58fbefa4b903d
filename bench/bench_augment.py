# SPDX-License-Identifier: Apache-2.0
"""Each RandAugment operation against Pillow's, and three of them in a row.

The op draws the operation from the sample number, so an operation is timed on sample numbers that draw it. Pillow gets
its images as Pillow images: turning arrays into them is not counted.
"""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from dssm import ops
from dssm.reference.augment import OPERATIONS, plan

from . import noise_peers
from .conftest import Timed, name_of, role_of
from .floors import memcpy, size
from .inputs import pictures

NAMES = [operation.__name__ for operation in OPERATIONS]
THREE = "three in a row"
cases = pytest.mark.parametrize("case", [*NAMES, THREE])


def drawing(case: str, count: int) -> tuple[torch.Tensor, int]:
    """(index, count) for `ops.augment`: sample numbers that draw the operation."""
    if case == THREE:
        return torch.arange(count), 3
    candidates = torch.arange(20 * len(NAMES) * count)
    chosen, _ = plan(candidates, 0, 1)
    return candidates[chosen[:, 0] == NAMES.index(case)][:count], 1


@cases
def bench_dssm(timed: Timed, images: torch.Tensor, case: str, backend: str) -> None:
    index, count = drawing(case, len(images))
    timed(
        f"{case} 256x256",
        name_of(backend),
        lambda: ops.augment(images, index, seed=0, count=count, backend=backend),
        role_of(backend),
    )


@cases
def bench_pillow(timed: Timed, images: torch.Tensor, case: str) -> None:
    index, count = drawing(case, len(images))
    draws = zip(*(part.tolist() for part in plan(index, 0, count)), strict=True)
    work = list(zip(map(Image.fromarray, pictures(images)), draws, strict=True))
    timed(
        f"{case} 256x256",
        "Pillow",
        lambda: [noise_peers.randaugment(picture, *draw) for picture, draw in work],
        "rival",
    )


@cases
def bench_memcpy(timed: Timed, images: torch.Tensor, case: str) -> None:
    timed(f"{case} 256x256", "memcpy", memcpy(size(images, images)), "floor")
