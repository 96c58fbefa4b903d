# SPDX-License-Identifier: Apache-2.0
"""Equation 3 over strided images (csrc/cpu/blend.cpp)."""

from __future__ import annotations

import torch

from dssm.cpu import array, lib, threads


def blend(image: torch.Tensor, source: torch.Tensor, mask: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) and (B, H, W) -> (B, C, H, W), contiguous."""
    if image.dtype in (torch.float16, torch.bfloat16):
        return blend(image.float(), source.float(), mask, alpha).to(image.dtype)
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    alpha = alpha.double().contiguous()
    lib.blend(array(image), array(source), array(mask), array(alpha), array(out), threads())
    return out
