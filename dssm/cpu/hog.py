# SPDX-License-Identifier: Apache-2.0
"""Histograms of oriented gradients, one pass over the rows of an image (csrc/cpu/hog.cpp)."""

from __future__ import annotations

import torch

from dssm.cpu import array, lib, threads
from dssm.ops.hog import MODES, NORMS, length


def hog(
    image: torch.Tensor,
    orientations: int,
    cell: list[int],
    block: list[int],
    norm: str,
    sqrt: bool,
    mode: str,
) -> torch.Tensor:
    """(B, C, H, W) -> (B, D)."""
    # Differences of square roots can meet a bin's edge exactly, and scikit-image decides those in float64.
    exact = image.dtype == torch.uint8 and sqrt and mode == "skimage"
    real = torch.float64 if exact or image.dtype == torch.float64 else torch.float32
    count = length(image.shape[2], image.shape[3], orientations=orientations, cell=cell, block=block)
    out = image.new_empty((image.shape[0], count), dtype=real)
    lib.hog(array(image), array(out), orientations, cell, block, NORMS.index(norm), sqrt, MODES.index(mode), threads())
    return out.float() if exact else out
