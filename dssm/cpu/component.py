# SPDX-License-Identifier: Apache-2.0
"""Largest connected component by union-find over runs (csrc/cpu/component.cpp)."""

from __future__ import annotations

import torch

from dssm.cpu import array, lib, threads


def component(mask: torch.Tensor, connectivity: int) -> torch.Tensor:
    """(B, H, W) bool -> (B, H, W) bool."""
    out = torch.empty_like(mask, memory_format=torch.contiguous_format)
    lib.component(array(mask), array(out), connectivity, threads())
    return out
