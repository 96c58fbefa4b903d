# SPDX-License-Identifier: Apache-2.0
"""The six RandAugment operations, in place on a copy (csrc/cpu/augment.cpp)."""

from __future__ import annotations

import torch

from dssm.cpu import array, lib, threads


def augment(image: torch.Tensor, index: torch.Tensor, seed: int, count: int) -> torch.Tensor:
    """(B, C, H, W) uint8 -> the same, contiguous."""
    out = image.clone(memory_format=torch.contiguous_format)
    lib.augment(array(out), array(index), seed, count, threads())
    return out
