# SPDX-License-Identifier: Apache-2.0
"""Weights that make all regions of a mask count the same."""

from __future__ import annotations

import torch

from dssm.reference.component import component


def region(mask: torch.Tensor) -> torch.Tensor:
    """1 / area of each pixel's region: pass after pass peels the largest off the images that still have one."""
    weights = torch.zeros(mask.shape, dtype=torch.float64, device=mask.device)
    images = torch.arange(len(mask), device=mask.device)
    while True:
        occupied = mask.flatten(1).any(1)
        images, mask = images[occupied], mask[occupied]
        if not len(images):
            return weights
        largest = component(mask, 8)
        weights[images] += largest.double() / largest.sum((1, 2), keepdim=True)
        mask = mask & ~largest
