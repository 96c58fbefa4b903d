# SPDX-License-Identifier: Apache-2.0
"""Ground-truth regions, the unit that the per-region overlap counts in."""

from __future__ import annotations

import torch
from torch import Tensor

from dssm.ops import component


def region_weights(masks: Tensor) -> Tensor:
    """1 / area of the 8-connected region that each pixel belongs to, and zero on normal pixels.

    `masks` (B, H, W) bool -> (B, H, W) float64. The weights sum to the number of regions, so their fraction
    at or above a threshold is the per-region overlap.
    """
    weights = torch.zeros(masks.shape, dtype=torch.float64)
    images = torch.arange(len(masks))
    remaining = masks
    while True:
        occupied = remaining.flatten(1).any(1)
        images, remaining = images[occupied], remaining[occupied]
        if not len(images):
            return weights
        # Each pass peels the largest region off every image that still has one.
        region = component(remaining)
        weights[images] += region.double() / region.sum((1, 2), keepdim=True)
        remaining = remaining & ~region
