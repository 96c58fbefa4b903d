# SPDX-License-Identifier: Apache-2.0
"""Perlin noise, a plane per thread (csrc/cpu/perlin.cpp)."""

from __future__ import annotations

import torch

from dssm.cpu import array, lib, threads


def perlin(index: torch.Tensor, size: list[int], seed: int, resolution: list[int], rotate: bool) -> torch.Tensor:
    """(B,) int64 -> (B, H, W) float32."""
    out = torch.empty(len(index), *size, dtype=torch.float32)
    lib.perlin(array(index), array(out), seed, resolution, rotate, threads())
    return out
