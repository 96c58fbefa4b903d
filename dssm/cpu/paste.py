# SPDX-License-Identifier: Apache-2.0
"""PasteNoise, scars and patches, an image per thread (csrc/cpu/paste.cpp)."""

from __future__ import annotations

import torch

from dssm.cpu import array, lib, threads
from dssm.reference.paste import alpha_bounds, area_bounds


def paste(
    image: torch.Tensor,
    source: torch.Tensor | None,
    index: torch.Tensor,
    kind: torch.Tensor,
    seed: int,
    threshold: float,
    alpha: list[float],
    resolution: list[int],
    area: list[float],
    connectivity: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(B, C, H, W) -> image (B, C, H, W), mask (B, H, W), alpha (B,), all contiguous."""
    settings = seed, threshold, alpha, resolution, area, connectivity
    if image.dtype in (torch.float16, torch.bfloat16):
        wide = None if source is None else source.float()
        out, mask, weight = paste(image.float(), wide, index, kind, *settings)
        return out.to(image.dtype), mask, weight
    batch, _, height, width = image.shape
    image, index, kind = image.contiguous(), index.contiguous(), kind.contiguous()
    source = None if source is None else source.contiguous()
    out = torch.empty_like(image)
    mask = torch.empty(batch, height, width, dtype=torch.bool)
    weight = torch.empty(batch, dtype=torch.float32)
    lib.paste(
        *(array(tensor) for tensor in (image, source, index, kind, out, mask, weight)),
        seed,
        threshold,
        alpha_bounds(alpha),
        resolution,
        area_bounds(area, height, width),
        connectivity,
        threads(),
    )
    return out, mask, weight
