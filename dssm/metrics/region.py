# SPDX-License-Identifier: Apache-2.0
"""Ground-truth regions, the unit that the per-region overlap counts in."""
from __future__ import annotations

import torch
from torch import Tensor

from dssm.ops.component import component


def region_weights(masks: Tensor) -> tuple[Tensor, int]:
    """1 / area of the 8-connected region that each pixel belongs to, zero on normal pixels, and the region count.

    `masks` (B, H, W) bool -> weights (B, H, W) float64 that sum to the number of regions. The sum of the weights at
    or above a threshold, divided by that number, is the per-region overlap.
    """
    weights = torch.zeros(masks.shape, dtype=torch.float64)
    count = 0
    images = masks.flatten(1).any(1).nonzero()[:, 0]
    remaining = masks[images]
    # Every pass peels the largest region off each image that still has one.
    while images.numel():
        region = component(remaining)
        area = region.sum((1, 2), keepdim=True)
        weights[images] += region / area
        count += images.numel()
        remaining = remaining & ~region
        left = remaining.flatten(1).any(1)
        images, remaining = images[left], remaining[left]
    return weights, count
