# SPDX-License-Identifier: Apache-2.0
"""The six RandAugment operations, the first of them from the image into the result (csrc/cpu/augment.cpp)."""

from __future__ import annotations

import torch

from dssm.cpu import array, lib, threads


def augment(image: torch.Tensor, index: torch.Tensor, seed: int, count: int) -> torch.Tensor:
    """(B, C, H, W) uint8 -> the same, contiguous."""
    out = torch.empty(image.shape, dtype=torch.uint8)
    lib.augment(array(image), array(index), array(out), seed, count, threads())
    return out


def operation(image: torch.Tensor, number: int, magnitude: int) -> torch.Tensor:
    """One operation on every image: a position in the reference's OPERATIONS, and its magnitude."""
    out = torch.empty(image.shape, dtype=torch.uint8)
    lib.augment_operation(array(image), array(out), number, magnitude, threads())
    return out
