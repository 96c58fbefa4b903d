# SPDX-License-Identifier: Apache-2.0
"""Perlin noise, a plane per sample number."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dssm.errors import InputError
from dssm.ops import _check
from dssm.ops._op import define

_perlin = define(
    "perlin",
    "(Tensor index, int[] size, int seed, int[] resolution, bool rotate, str backend) -> Tensor",
    fake=lambda index, size, *_: index.new_empty((index.shape[0], *size), dtype=torch.float32),
)


def perlin(
    index: torch.Tensor,
    size: Sequence[int],
    *,
    seed: int,
    resolution: Sequence[int] = (0, 6),
    rotate: bool = True,
    backend: str | None = None,
) -> torch.Tensor:
    """Rotated Perlin noise, about [-1, 1]: sqrt(2) x the quintic mean of <gradient, offset> at four corners.

    index: (B,) int64 sample numbers. size: (H, W), any. seed: an integer in [0, 2^63).
    resolution: (lo, hi); each axis of the image holds 2^k lattice cells, k drawn per sample and axis from
    [lo, hi), hi <= 16. rotate: turn each plane about its centre by an angle drawn from [-90, 90) degrees.
    Returns (B, H, W) float32 on the device of `index`. Plane i depends on (seed, index[i]) and on nothing
    else of the batch; backends agree to 1e-5. Not differentiable. Raises InputError for another dtype, shape
    or range.
    Source: Perlin, "Improving noise", 2002; paper, section III-A and Fig. 4.
    """
    _check.index(index)
    if len(size) != 2 or min(size) < 1:
        raise InputError(f"size must be a pair of positive integers (height, width), not {tuple(size)}")
    _check.seed(seed)
    _check.resolution(resolution)
    return _perlin(index, list(size), seed, list(resolution), rotate, backend or "")
