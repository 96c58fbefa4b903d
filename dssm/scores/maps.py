# SPDX-License-Identifier: Apache-2.0
"""Anomaly maps at the size of the image."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def enlarge(coarse: Tensor, size: tuple[int, int], smooth: float) -> Tensor:
    """(B, h, w) -> (B, H, W), bilinear, then blurred by a Gaussian of `smooth` pixels per 256 pixels of height.

    Both are linear and take one axis after the other, so a product with one matrix per axis does all of it.
    """
    sigma = smooth * size[0] / 256
    rows, columns = (
        torch.from_numpy(_operator(old, new, sigma)).to(coarse.device)
        for old, new in zip(coarse.shape[1:], size, strict=True)
    )
    with torch.autocast(coarse.device.type, enabled=False):  # a map in bfloat16 would have 256 levels
        return rows @ coarse.float() @ columns.T


@lru_cache(maxsize=32)
def _operator(old: int, new: int, sigma: float) -> np.ndarray:
    """(new, old) float32: along one axis, F.interpolate without aligned corners, then `gaussian_blur`."""
    place = np.maximum((np.arange(new) + 0.5) * old / new - 0.5, 0)
    below = np.minimum(place.astype(int), old - 1)
    linear = np.zeros((new, old))
    np.add.at(linear, (np.arange(new), below), 1 - (place - below))
    np.add.at(linear, (np.arange(new), np.minimum(below + 1, old - 1)), place - below)
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return linear.astype(np.float32)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    mirrored = np.pad(linear, ((radius, radius), (0, 0)), mode="symmetric")
    shifted = (weight * mirrored[k : k + new] for k, weight in enumerate(weights / weights.sum()))
    return np.sum(list(shifted), axis=0).astype(np.float32)


def gaussian_blur(maps: Tensor, sigma: float) -> Tensor:
    """Blur (B, H, W) with a Gaussian of `sigma` pixels, cut at 4 sigma, borders reflected. In the maps' own dtype."""
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return maps
    offsets = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    weights = weights / weights.sum()
    x = maps[:, None]
    with torch.autocast(maps.device.type, enabled=False):  # a map in bfloat16 would have 256 levels
        for dim in (2, 3):
            x = _reflect(x, dim, radius)
            x = F.conv2d(x, weights.view(1, 1, -1, 1) if dim == 2 else weights.view(1, 1, 1, -1))
    return x[:, 0]


def _reflect(x: Tensor, dim: int, radius: int) -> Tensor:
    """Pad one dimension by mirroring at the outer edge of the border pixels, however small the image."""
    size = x.shape[dim]
    index = torch.arange(-radius, size + radius, device=x.device) % (2 * size)
    return x.index_select(dim, torch.where(index < size, index, 2 * size - 1 - index))
