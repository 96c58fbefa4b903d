# SPDX-License-Identifier: Apache-2.0
"""Small windows of large images, so that training sees fine detail at the cost of small images."""

from __future__ import annotations

import torch
from torch import Tensor

from dssm.reference.philox import WINDOW, integer, philox


def window(images: Tensor, index: Tensor, *, seed: int, side: int) -> Tensor:
    """A square of `side` pixels (all of a shorter side) out of each sample (n, C, H, W), at a place drawn for it."""
    height, width = (min(side, full) for full in images.shape[2:])
    down, right, *_ = philox(seed, index, WINDOW, 0)
    rows = integer(down, 0, images.shape[2] - height + 1)[:, None] + torch.arange(height, device=images.device)
    columns = integer(right, 0, images.shape[3] - width + 1)[:, None] + torch.arange(width, device=images.device)
    sample = torch.arange(len(images), device=images.device)[:, None, None]
    cut = images.permute(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]]  # (n, height, width, C)
    return cut.permute(0, 3, 1, 2).contiguous()
