# SPDX-License-Identifier: Apache-2.0
"""Anomaly maps at the size of the image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def enlarge(coarse: Tensor, size: tuple[int, int], smooth: float) -> Tensor:
    """(B, h, w) -> (B, H, W), bilinear, then blurred by a Gaussian of `smooth` pixels per 256 pixels of height."""
    maps = F.interpolate(coarse[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    return gaussian_blur(maps, smooth * size[0] / 256)


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
