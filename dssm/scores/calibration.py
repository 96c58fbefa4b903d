# SPDX-License-Identifier: Apache-2.0
"""Maps of several kinds on one scale, by good images that nothing was fitted to."""

from __future__ import annotations

import torch
from torch import Tensor

from dssm.scores.maps import gaussian_blur

LEAST = 0.05  # of the mean: a few images know a deviation badly
SPREAD = 2.0  # positions over which a scale is smoothed
QUIET = 0.25  # share of an image that tells whether all of it is strange
_STRIDE = 8  # pixels between those looked at: maps are smooth


def scale_of_all(maps: Tensor) -> Tensor:
    """Mean and deviation (2, 1, 1) of the values of maps (n, h, w)."""
    maps = maps.double()
    return torch.stack([maps.mean(), maps.std(correction=0).clamp_min(1e-6)]).float().view(2, 1, 1)


def scale_by_position(maps: Tensor) -> Tensor:
    """Mean and deviation (2, h, w) of maps (n, h, w) at every position.

    What is usual at one place, an edge or a print, is not at another. Few images know a deviation badly: positions
    share with their neighbours, and every variance is the mean of its own and that of all.
    """
    maps = maps.double()
    mean = gaussian_blur(maps.mean(0, keepdim=True), SPREAD)
    variance = gaussian_blur((maps - mean).square().mean(0, keepdim=True), SPREAD)
    deviation = ((variance + variance.mean()) / 2).sqrt().clamp_min(1e-6)
    return torch.cat([mean, deviation]).float()


def quiet(maps: Tensor) -> Tensor:
    """The value (B,) below which the quietest quarter of each map (B, H, W) lies."""
    values = maps[:, ::_STRIDE, ::_STRIDE].flatten(1)
    count = values.shape[1]
    return values.topk(count - int(QUIET * count), dim=1).values[:, -1]  # ONNX knows topk, no quantile


def lowered(maps: Tensor, most: Tensor) -> Tensor:
    """Maps (B, H, W), each lowered by how far its quietest quarter lies above `most` (), that of good images.

    Another camera or light makes all of an image strange. That speaks for its image score; where in it a defect lies,
    only differences within it can tell.
    """
    return maps - (quiet(maps) - most).clamp_min(0)[:, None, None]
