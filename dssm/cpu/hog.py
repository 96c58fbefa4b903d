# SPDX-License-Identifier: Apache-2.0
"""Histograms of oriented gradients, an image per thread (csrc/cpu/hog.cpp)."""

from __future__ import annotations

import torch

from dssm.cpu import array, lib, threads
from dssm.ops.hog import MODES, NORMS, length
from dssm.reference.hog import resize


def hog(
    image: torch.Tensor,
    orientations: int,
    cell: list[int],
    block: list[int],
    norm: str,
    sqrt: bool,
    mode: str,
    size: list[int] | None,
) -> torch.Tensor:
    """(B, C, H, W) -> (B, D)."""
    # Differences of square roots can meet a bin's edge exactly, and scikit-image decides those in float64.
    exact = image.dtype == torch.uint8 and sqrt and mode == "skimage" and not size
    real = torch.float64 if exact or image.dtype == torch.float64 else torch.float32
    height, width = size or image.shape[2:]
    count = length(height, width, orientations=orientations, cell=cell, block=block)
    out = image.new_empty((image.shape[0], count), dtype=real)
    settings = orientations, cell, block, NORMS.index(norm), sqrt, MODES.index(mode)
    lib.hog(array(image), array(out), *settings, size or (0, 0), threads())
    return out.float() if exact else out


def hog_backward(
    grad: torch.Tensor,
    image: torch.Tensor,
    orientations: int,
    cell: list[int],
    block: list[int],
    norm: str,
    sqrt: bool,
    mode: str,
    size: list[int] | None,
) -> list[torch.Tensor]:
    """(B, D), (B, C, H, W) -> the gradient with respect to the image, of its dtype."""
    settings = orientations, cell, block, NORMS.index(norm), sqrt, MODES.index(mode)
    grad = grad.contiguous()
    small = resize(image.to(grad.dtype), size) if size else image
    out = torch.empty(small.shape, dtype=grad.dtype)
    lib.hog_backward(array(grad), array(small), array(out), *settings, threads())
    if size:
        out = torch.ops.aten._upsample_bilinear2d_aa_backward(out, size, image.shape, False)
    return [out.to(image.dtype)]
