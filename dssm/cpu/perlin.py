# SPDX-License-Identifier: Apache-2.0
"""Perlin noise, a plane per thread (csrc/cpu/perlin.cpp)."""

from __future__ import annotations

import torch

from dssm.cpu import lib


def perlin(index: torch.Tensor, size: list[int], seed: int, resolution: list[int], rotate: bool) -> torch.Tensor:
    """(B,) int64 -> (B, H, W) float32."""
    out = torch.empty(len(index), *size, dtype=torch.float32)
    threads = torch.get_num_threads()
    lib.perlin(index.data_ptr(), index.stride(0), out.data_ptr(), len(index), size, seed, resolution, rotate, threads)
    return out
