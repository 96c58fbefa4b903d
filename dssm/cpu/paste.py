# SPDX-License-Identifier: Apache-2.0
"""PasteNoise, scars and patches, and their gradients, an image per thread (csrc/cpu/paste.cpp)."""

from __future__ import annotations

import torch
from torch import Tensor

from dssm.cpu import array, lib, threads
from dssm.reference.paste import alpha_bounds, area_bounds


def paste(
    image: Tensor,
    source: Tensor | None,
    index: Tensor,
    kind: Tensor,
    seed: int,
    threshold: float,
    alpha: list[float],
    resolution: list[int],
    area: list[float],
    connectivity: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """(B, C, H, W) -> image (B, C, H, W), mask (B, H, W), alpha (B,), all contiguous."""
    batch, _, height, width = image.shape
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    mask = torch.empty(batch, height, width, dtype=torch.bool)
    weight = torch.empty(batch, dtype=torch.float32)
    bounds = alpha_bounds(alpha), resolution, area_bounds(area, height, width)
    arrays = map(array, (image, source, index, kind, out, mask, weight))
    lib.paste(*arrays, seed, threshold, *bounds, connectivity, threads())
    return out, mask, weight


def paste_backward(
    grad: Tensor,
    image: Tensor,
    source: Tensor | None,
    index: Tensor,
    kind: Tensor,
    seed: int,
    threshold: float,
    alpha: list[float],
    resolution: list[int],
    area: list[float],
    connectivity: int,
) -> list[Tensor]:
    """Gradients of image and, if given, source; masks are drawn again rather than kept."""
    grads = [torch.empty_like(x, memory_format=torch.contiguous_format) for x in (image, source) if x is not None]
    grad_source = None if source is None else grads[1]
    bounds = alpha_bounds(alpha), resolution, area_bounds(area, *image.shape[2:])
    arrays = map(array, (grad, index, kind, grads[0], grad_source))
    lib.paste_backward(*arrays, seed, threshold, *bounds, connectivity, threads())
    return grads
