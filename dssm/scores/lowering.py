# SPDX-License-Identifier: Apache-2.0
"""Images that are strange all over, by good images that nothing was fitted to."""

from __future__ import annotations

from torch import Tensor

QUIET = 0.1  # share of an image that tells whether all of it is strange; a broad defect leaves more of it alone
_STRIDE = 8  # pixels between those looked at: maps are smooth


def quiet(maps: Tensor) -> Tensor:
    """The value (B,) below which the quietest tenth of each map (B, H, W) lies."""
    values = maps[:, ::_STRIDE, ::_STRIDE].flatten(1)
    count = values.shape[1]
    return values.topk(count - int(QUIET * count), dim=1).values[:, -1]  # ONNX knows topk, no quantile


def lowered(maps: Tensor, most: Tensor) -> Tensor:
    """Maps (B, H, W), each lowered by how far its quietest tenth lies above `most` (), that of good images.

    Another camera or light makes all of an image strange. That speaks for its image score; where in it a defect lies,
    only differences within it can tell.
    """
    return maps - (quiet(maps) - most).clamp_min(0)[:, None, None]
