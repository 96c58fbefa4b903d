# SPDX-License-Identifier: Apache-2.0
"""Largest connected component by label propagation with pointer jumping."""

from __future__ import annotations

import torch
import torch.nn.functional as F

_WINDOWS = {4: ((1, 3), (3, 1)), 8: ((3, 3),)}  # the windows whose union is a pixel and its neighbours


def component(mask: torch.Tensor, connectivity: int = 8) -> torch.Tensor:
    """(B, H, W) bool -> (B, H, W) bool.

    A component is labelled with its smallest raster index, and arg max prefers the first of equal areas: so ties go to
    the component that comes first in raster order.
    """
    if mask.numel() == 0:
        return mask.clone(memory_format=torch.contiguous_format)
    mask = mask.contiguous()
    labels = label(mask, connectivity).flatten(1)  # (B, H * W)
    inside = mask.flatten(1)
    areas = torch.zeros_like(labels).scatter_add_(1, labels, inside.long())
    return (inside & (labels == areas.argmax(1, keepdim=True))).view(mask.shape)


def label(mask: torch.Tensor, connectivity: int = 8) -> torch.Tensor:
    """(B, H, W) int64: the smallest raster index y * W + x in a pixel's component; its own index outside the mask."""
    batch, height, width = mask.shape
    own = torch.arange(height * width, device=mask.device).expand(batch, -1)  # (B, H * W)
    inside = mask.flatten(1)
    parent = own.clone()
    while True:
        lowest = _lowest_neighbour(parent.view(mask.shape), mask, connectivity).flatten(1)
        lowest = torch.where(inside, lowest, own)
        if torch.equal(lowest, parent):
            return parent.view(mask.shape)
        # Hook the root, not only the pixel, to the lower label; then let everybody look up its root's root.
        parent = parent.scatter_reduce(1, parent, lowest, "amin")
        while not torch.equal(parent, above := parent.gather(1, parent)):
            parent = above


def _lowest_neighbour(labels: torch.Tensor, mask: torch.Tensor, connectivity: int) -> torch.Tensor:
    """The smallest label among a pixel and its neighbours inside the mask; exact in float64 up to 2^53 pixels."""
    negative = torch.where(mask, -labels.double(), -torch.inf)
    pooled = [
        F.max_pool2d(negative, window, stride=1, padding=(window[0] // 2, window[1] // 2))
        for window in _WINDOWS[connectivity]
    ]
    return (-torch.stack(pooled).amax(0)).nan_to_num(posinf=0).long()
