# SPDX-License-Identifier: Apache-2.0
"""Areas of connected regions (csrc/cpu/region.cpp)."""

from __future__ import annotations

import torch

from dssm.cpu import array, lib, threads


def region(mask: torch.Tensor) -> torch.Tensor:
    """(B, H, W) bool -> (B, H, W) float64."""
    out = torch.empty(mask.shape, dtype=torch.float64)
    lib.region(array(mask), array(out), threads())
    return out
