# SPDX-License-Identifier: Apache-2.0
"""Anomaly maps at the size of the image."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dssm.scores.scorer import gaussian_blur


def enlarge(coarse: Tensor, size: tuple[int, int], smooth: float) -> Tensor:
    """(B, h, w) -> (B, H, W), bilinear, then blurred by a Gaussian of `smooth` pixels per 256 pixels of height."""
    maps = F.interpolate(coarse[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    return gaussian_blur(maps, smooth * size[0] / 256)
