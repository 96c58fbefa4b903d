# SPDX-License-Identifier: Apache-2.0
"""Largest connected component by union-find over runs (csrc/cpu/component.cpp)."""

from __future__ import annotations

import torch

from dssm.cpu import lib


def component(mask: torch.Tensor, connectivity: int) -> torch.Tensor:
    """(B, H, W) bool -> (B, H, W) bool."""
    out = torch.empty_like(mask, memory_format=torch.contiguous_format)
    lib.component(mask.data_ptr(), out.data_ptr(), mask.shape, mask.stride(), connectivity, torch.get_num_threads())
    return out
