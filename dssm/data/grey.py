# SPDX-License-Identifier: Apache-2.0
"""Images without colour: what is pasted into them must have none either, or colour alone would give it away."""

from __future__ import annotations

import torch
from torch import Tensor


def grey_where(images: Tensor, others: Tensor) -> Tensor:
    """`others` (n, 3, H, W) uint8, those as the mean of their channels whose one of `images` (n, 3, h, w) is grey."""
    grey = (images[:, :1] == images).flatten(1).all(1)
    if not grey.any():
        return others
    mean = others.float().mean(1, keepdim=True).round().to(others.dtype).expand_as(others)
    return torch.where(grey.view(-1, 1, 1, 1), mean, others)
