# SPDX-License-Identifier: Apache-2.0
"""Histograms of oriented gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from dssm.errors import InputError
from dssm.ops import _check
from dssm.ops._op import define

NORMS = ("L1", "L1-sqrt", "L2", "L2-Hys")
MODES = ("skimage", "opencv")


def length(height: int, width: int, *, orientations: int, cell: Sequence[int], block: Sequence[int]) -> int:
    """D, the number of features of an image: that of its blocks times cells in a block times bins."""
    rows, columns = height // cell[0] - block[0] + 1, width // cell[1] - block[1] + 1
    return rows * columns * block[0] * block[1] * orientations


def _fake(image: torch.Tensor, orientations: int, cell: list[int], block: list[int], *rest: Any) -> torch.Tensor:
    dtype = torch.float64 if image.dtype == torch.float64 else torch.float32
    height, width = rest[-1] or image.shape[2:]
    count = length(height, width, orientations=orientations, cell=cell, block=block)
    return image.new_empty((image.shape[0], count), dtype=dtype)


_hog = define(
    "hog",
    "(Tensor image, int orientations, int[] cell, int[] block, str norm, bool sqrt, str mode, int[]? size, str backend)"
    " -> Tensor",
    fake=_fake,
    differentiable=("image",),
)


def hog(
    image: torch.Tensor,
    *,
    orientations: int = 9,
    cell: Sequence[int] = (8, 8),
    block: Sequence[int] = (2, 2),
    norm: str = "L2-Hys",
    sqrt: bool = False,
    mode: str = "skimage",
    size: Sequence[int] | None = None,
    backend: str | None = None,
) -> torch.Tensor:
    """Histograms of oriented gradients (Dalal and Triggs, CVPR 2005), the target of the paper's eq. 5.

    image: (B, C, H, W) uint8 or floating, any strides. Values are used as they are, uint8 unscaled.
    orientations: number of bins in [0, 180) degrees.
    cell: pixels (rows, columns); what fills no cell at the bottom and on the right serves as neighbours only.
    block: cells (rows, columns); blocks move by one cell.
    sqrt: take the square root of the image first (gamma compression); negative values become NaN.
    size: resize the image to these (rows, columns) before anything else, as torch.nn.functional.interpolate does in
    mode "bilinear" with antialias=True and align_corners=False.
    Returns (B, D) float32, or float64 for float64; D is `length`, 3780 for 128 x 64 pixels.

    mode "skimage" equals skimage.feature.hog(..., channel_axis), for norm "L1", "L1-sqrt", "L2" and "L2-Hys":
    hard bins, mean over a cell, row-major order, eps 1e-5. Bytes fall into the same bins exactly; among
    floats, rounding decides on a bin's edge and between channels of equal magnitude.
    mode "opencv" equals cv2.HOGDescriptor(winSize, blockSize, blockStride=cell, cellSize, nbins) on images
    with values in 0..255, with gamma correction iff `sqrt`, only norm "L2-Hys": votes shared between bins and
    cells, Gaussian window, column-major order, cv2's approximate arc tangent. Of channels of equal magnitude
    the first one votes.

    Computes in float32 (float64 for float64), also under autocast. Differentiable with respect to a floating
    image: the bins of mode "skimage" and the choice of the channel are held fixed, and a pixel of zero
    gradient contributes zero.
    Raises InputError for wrong shapes, dtypes and settings, and for an image smaller than one block.
    """
    _check.images("image", image)
    for name, pair in (("cell", cell), ("block", block), ("size", size)):
        if pair is not None and (len(pair) != 2 or min(pair) < 1):
            raise InputError(f"{name} must be two positive integers (rows, columns), not {tuple(pair)}")
    if orientations < 1:
        raise InputError(f"orientations must be at least 1, not {orientations}")
    _check.choice("norm", norm, NORMS)
    _check.choice("mode", mode, MODES)
    if mode == "opencv" and norm != "L2-Hys":
        raise InputError(f"norm must be L2-Hys in mode opencv, not {norm!r}")
    least = (block[0] * cell[0], block[1] * cell[1])
    if size is not None and (size[0] < least[0] or size[1] < least[1]):
        raise InputError(f"size must be at least {least} to hold a block, not {tuple(size)}")
    if size is not None and min(image.shape[1:]) < 1:
        raise InputError(f"image must have a channel and a pixel to be resized, not shape {tuple(image.shape)}")
    if size is None and (image.shape[1] < 1 or image.shape[2] < least[0] or image.shape[3] < least[1]):
        raise InputError(
            f"image must have a channel, at least {least[0]} rows and at least {least[1]} columns "
            f"to hold a block, not shape {tuple(image.shape)}"
        )
    return _hog(image, orientations, list(cell), list(block), norm, sqrt, mode, size and list(size), backend or "")
