# SPDX-License-Identifier: Apache-2.0
"""PasteNoise, scars and patches in one kernel, a block per sample (csrc/cuda/paste.cu)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dssm import backends
from dssm._native import array
from dssm.cuda import launch, lib
from dssm.reference.paste import alpha_bounds, area_bounds

_MOST_THREADS = 1024  # of a block: it has a multiprocessor to itself
_PIXELS = 8  # of a thread, at least: barriers of fewer threads are cheaper


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
    """(B, C, H, W) -> image (B, C, H, W), mask (B, H, W), alpha (B,), all contiguous.

    An image whose mask and labels do not fit into the shared memory of a block, about 256x256 pixels on the oldest
    devices and 360x360 on others, is left to the next backend.
    """
    batch, _, height, width = image.shape
    if not lib.paste_fits(height, width, connectivity, image.device.index or 0):
        other = backends.next_best("paste", image.device, "cuda")
        return other.paste(image, source, index, kind, seed, threshold, alpha, resolution, area, connectivity)
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    mask = torch.empty(batch, height, width, dtype=torch.bool, device=image.device)
    weight = torch.empty(batch, dtype=torch.float32, device=image.device)
    bounds = alpha_bounds(alpha), resolution, area_bounds(area, height, width)
    arrays = map(array, (image, source, index, kind, out, mask, weight))
    launch(lib.paste, image.device, *arrays, seed, threshold, *bounds, connectivity, _threads(height * width))
    return out, mask, weight


def _threads(pixels: int) -> int:
    """Whole warps."""
    return min(_MOST_THREADS, -(-pixels // (32 * _PIXELS)) * 32)


def paste_backward(grad: Tensor, image: Tensor, *arguments: Any) -> list[Tensor] | None:
    """Gradients of image and, if given, source, by the next backend's kernel if it has one; None if it has none."""
    other = backends.next_best("paste", image.device, "cuda")
    return other.paste_backward(grad, image, *arguments) if hasattr(other, "paste_backward") else None
